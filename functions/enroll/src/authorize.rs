use policy::{Access, Circumstances, Decision, Policies};
use ports::{Clock as _, TakeRow as _};
use step::Ca;

use crate::{
    Ports, Service,
    code::OpenCode,
    order::Order,
    proof::{Holder, Proven},
    record::Record,
    stop::Stop,
};

/// An order that policy allows who proved itself. [`allow`] alone makes one.
pub(crate) struct Allowed {
    order: Order,
    holder: Holder,
    policies: String,
}

/// An allowed order whose code, if it came by one, was spent by it. [`Allowed::spend`] alone makes one, and issuing takes it by value.
pub(crate) struct Spent {
    pub(crate) order: Order,
    pub(crate) holder: Holder,
    pub(crate) policies: String,
}

/// Asks policy about every name that the certificate would have, or about the one to be revoked. Nobody gets the CA's own name.
pub(crate) fn allow<P: Ports>(
    service: &Service<P>,
    record: &mut Record<'_>,
    ca: &Ca,
    policies: &Policies,
    proven: Proven,
) -> Result<Allowed, Stop> {
    let (order, holder) = proven.into_parts();
    if order.purpose().is_for_host_of(ca) {
        return Err(Stop::denied("ca_name"));
    }
    let circumstances =
        Circumstances { source_ip: record.caller.source_ip, now: service.clock.now(), wire: record.wire.as_str() };
    let other_names = order.other_names();
    let principal = holder.principal();
    let mut allowing = Vec::new();
    for action in order.actions(&other_names, holder.channel()) {
        match policies.decide(Access { principal, action, circumstances }) {
            Decision::Allow(policies) => allowing.extend(policies),
            Decision::Deny => return Err(Stop::denied("policy")),
        }
    }
    allowing.sort_unstable();
    allowing.dedup();
    let policies = allowing.join(" ");
    record.policies = Some(policies.clone());
    record.wants = (!other_names.is_empty()).then(|| other_names.join(" "));
    Ok(Allowed { order, holder, policies })
}

impl Allowed {
    /// Spends the code by taking its row away, which one request alone sees done. An access token is good for more than once.
    pub(crate) async fn spend<P: Ports>(self, service: &Service<P>, record: &Record<'_>) -> Result<Spent, Stop> {
        let Self { order, holder, policies } = self;
        if let Holder::Subject { subject, open } = &holder {
            let taken = service.ledger.take(&OpenCode::key(subject)).await;
            let taken = taken.map_err(|fault| Stop::fault("ledger", &fault, record.caller))?;
            // By now it may be the row of a later code, where this one ended in between.
            let is_it = |taken: OpenCode| taken.challenge == open.challenge;
            if !taken.and_then(OpenCode::from_record).is_some_and(is_it) {
                return Err(Stop::refused("code_taken"));
            }
        }
        Ok(Spent { order, holder, policies })
    }
}
