use std::sync::Arc;

use policy::Policies;
use ports::{Clock as _, Folder};
use protocol::{EnrollmentToken, SystemRandom};
use step::{IssuedOtt, OttOrder, Signer};

use crate::{
    Ports, Service,
    authorize::{Spent, allow},
    limits::{Counted, count_source},
    order::Order,
    proof::{Credential, prove},
    record::Record,
    stop::Stop,
};

/// What a one-time token needs beside its proof. It is there before anything is looked at that only the right caller has: whether
/// it is would tell of it otherwise, and a code would be spent for nothing.
pub(crate) struct Ready {
    pub(crate) signer: Signer,
    policies: Arc<Folder<Policies>>,
}

/// Counts who shows a code, or a certificate, and makes ready.
pub(crate) async fn begin<P: Ports>(
    service: &Service<P>,
    record: &Record<'_>,
    credential: &Credential<'_>,
    shows_certificate: bool,
) -> Result<Ready, Stop> {
    let (caller, clock) = (record.caller, &service.clock);
    // Access tokens cannot be guessed, and one address may well enrol a whole rack by them. The signatures of a certificate's chain
    // take time, and anybody has one to show.
    if shows_certificate || matches!(credential, Credential::Code { .. }) {
        count_source(service, Counted::Attempt, caller, clock.unix_seconds()).await?;
    }
    let policies = service.policies.get(clock).await.map_err(|fault| Stop::fault("policies", &fault, caller))?;
    let signer = service.registrar.signer(clock).await.map_err(|fault| Stop::fault("step_ca", &fault, caller))?;
    Ok(Ready { signer, policies })
}

/// The checks in their order: the proof, policy, the code's end, the ledger's record; then the token.
pub(crate) async fn grant<P: Ports>(
    service: &Service<P>,
    record: &mut Record<'_>,
    ready: &Ready,
    order: Order,
    credential: Credential<'_>,
) -> Result<EnrollmentToken, Stop> {
    let proven = prove(service, record, order, credential).await?;
    let allowed = allow(service, record, ready.signer.ca(), &ready.policies.value, proven)?;
    let spent = allowed.spend(service, record).await?;
    issue(service, record, &ready.signer, spent).await
}

async fn issue<P: Ports>(
    service: &Service<P>,
    record: &mut Record<'_>,
    signer: &Signer,
    spent: Spent,
) -> Result<EnrollmentToken, Stop> {
    let Spent { order, holder, policies } = spent;
    let order = OttOrder {
        purpose: order.purpose(),
        holder: holder.name(),
        policies: &policies,
        source_ip: record.caller.source_ip,
        request_id: &record.caller.request_id,
    };
    match service.registrar.issue(order, signer, &service.ledger, &service.clock, &SystemRandom).await {
        Ok(IssuedOtt { token, jti }) => {
            record.jti = Some(jti);
            Ok(token)
        }
        Err(fault) => Err(Stop::fault("issue", &fault, record.caller)),
    }
}
