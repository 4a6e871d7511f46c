use policy::Circumstances;
use ports::{Clock as _, SpendError};
use protocol::{Refusal, SystemRandom, VerifiedExchange, Wire};
use web::{Caller, Ending, Event, Problem, audit};

use crate::{
    Broker, Ports,
    authorize::{Attempt, Denied, authorize, describe},
    broker::Unverified,
    release::{Unreleased, release},
};

/// What was learnt of an exchange on the way, for the audit event.
#[derive(Default)]
struct Trail {
    group: Option<String>,
    pool_id: Option<String>,
    jti: Option<String>,
    wants: Option<String>,
    policies: Option<String>,
}

/// Every check and the release, within the deadline, and the audit event: the answer's body, or why there is none.
///
/// `verified` is what proves the caller on this wire.
pub(crate) async fn check<P: Ports>(
    broker: &Broker<P>,
    caller: &Caller,
    wire: Wire,
    verified: impl Future<Output = Result<VerifiedExchange, Unverified>>,
) -> Result<String, Problem> {
    let mut trail = Trail::default();
    let run = run(broker, caller, verified, &mut trail);
    let ending = match tokio::time::timeout(broker.config.deadline, run).await {
        Ok(ending) => ending,
        Err(_) => Ending::failed("deadline"),
    };
    audit(&Event {
        reason: ending.reason,
        source_ip: Some(caller.source_ip),
        group: trail.group.as_deref(),
        pool_id: trail.pool_id.as_deref(),
        jti: trail.jti.as_deref(),
        wire: Some(wire.as_str()),
        wants: trail.wants.as_deref(),
        policies: trail.policies.as_deref(),
        ..Event::new("exchange", ending.outcome, &caller.request_id)
    });
    ending.answer
}

/// The checks in their order: what proves the caller, policy for every want, the ledger, then the release.
async fn run<P: Ports>(
    broker: &Broker<P>,
    caller: &Caller,
    verified: impl Future<Output = Result<VerifiedExchange, Unverified>>,
    trail: &mut Trail,
) -> Ending {
    let exchange = match verified.await {
        Ok(exchange) => exchange,
        Err(Unverified::Refused(refusal)) => return refused(refusal),
        Err(Unverified::Fault(fault)) => return Ending::fault("material", &fault, caller),
    };
    trail.group = Some(exchange.group().to_string());
    trail.pool_id = Some(exchange.pool_id().to_string());
    trail.jti = Some(exchange.request_id().to_owned());
    trail.wants = Some(describe(exchange.wants()));

    let circumstances =
        Circumstances { source_ip: caller.source_ip, now: broker.adapters.clock.now(), wire: exchange.wire().as_str() };
    let loaded = match broker.policies.get(&broker.adapters.clock).await {
        Ok(loaded) => loaded,
        Err(fault) => return Ending::fault("policies", &fault, caller),
    };
    let authorized = match authorize(exchange, &loaded.value, circumstances, broker.config.tokens.token_seconds) {
        Ok(authorized) => authorized,
        Err(unauthorized) => {
            let Denied { exchange, denial, reason } = *unauthorized;
            let detail = Some(exchange.seal_denial(denial, &SystemRandom));
            return Ending::denied(reason, Problem::Denied { detail });
        }
    };
    trail.policies = Some(authorized.policies().to_owned());

    let attempt = Attempt { circumstances, invocation_id: &caller.request_id, keep_days: broker.config.audit_days };
    let spent = match authorized.spend(&broker.adapters.ledger, attempt).await {
        Ok(spent) => spent,
        Err(SpendError::AlreadySpent) => return refused(Refusal::Replayed),
        Err(SpendError::Fault(fault)) => return Ending::fault("ledger", &fault, caller),
    };
    match release(broker, spent, caller).await {
        Ok(answer) => Ending::granted(answer),
        Err(Unreleased::NotFound(detail)) => Ending::denied("not_found", Problem::NotFound { detail: Some(detail) }),
        Err(Unreleased::Fault(fault)) => Ending::fault("release", &fault, caller),
    }
}

fn refused(refusal: Refusal) -> Ending {
    Ending::refused(refusal.code(), Problem::Refused)
}
