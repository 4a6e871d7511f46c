use policy::{Access, Action, BearerPrincipal, Circumstances, Decision, Principal};
use ports::Clock as _;

use crate::{Ports, Service, record::Record, stop::Stop};

/// Something that policy allows the bearer. [`ask`] alone makes one, and what is done takes it.
#[derive(Debug)]
pub(crate) struct Allowed(());

/// Asks policy, and notes in the record which policies allow it.
pub(crate) async fn ask<P: Ports>(
    service: &Service<P>,
    record: &mut Record,
    action: Action<'_>,
) -> Result<Allowed, Stop> {
    service.authorities.forget_old(service.clock.now());
    let policies = match service.policies.get(&service.clock).await {
        Ok(policies) => policies,
        Err(fault) => return Err(Stop::fault("policies", &fault, &record.caller)),
    };
    let principal = Principal::Bearer(BearerPrincipal { subject: &record.bearer.subject, scope: &record.bearer.scope });
    let circumstances = Circumstances { source_ip: record.caller.source_ip, now: service.clock.now(), wire: "v2" };
    match policies.value.decide(Access { principal, action, circumstances }) {
        Decision::Allow(allowing) => {
            let allowing = record.policies.take().into_iter().chain(allowing).collect::<Vec<_>>();
            record.policies = Some(allowing.join(" "));
            Ok(Allowed(()))
        }
        Decision::Deny => Err(Stop::denied()),
    }
}
