use std::sync::Arc;

use axum::{
    body::{Body, to_bytes},
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use policy::Circumstances;
use ports::{Clock as _, Fault, SpendError, chain};
use protocol::{Denial, DenialCode, MAX_REQUEST_BYTES, Refusal, SystemRandom};
use web::{Caller, Event, Outcome, Problem, ProblemDetails, audit};

use crate::{
    Broker, Ports,
    authorize::{Attempt, Denied, authorize, describe},
    broker::Unverified,
    release::{Unreleased, release},
};

const JOSE: &str = "application/jose";
const WIRE: &str = "v2";

/// How an exchange ended, with what is known of it by then.
struct Ending {
    outcome: Outcome,
    reason: Option<&'static str>,
    answer: Result<String, Problem>,
}

/// What was learnt of an exchange on the way, for the audit event.
#[derive(Default)]
struct Trail {
    group: Option<String>,
    pool_id: Option<String>,
    jti: Option<String>,
    wants: Option<String>,
    policies: Option<String>,
}

/// Proof in, credentials out.
///
/// The body is a nested JWT: a compact JWE (RFC 7516) to the server key around a compact JWS (RFC 7515) under the proof
/// key. `docs/protocol.md` specifies both, and the answer.
#[utoipa::path(
    post,
    path = "/v2/exchange",
    tag = "exchange",
    request_body(content = String, content_type = "application/jose"),
    responses(
        (status = 200, description = "Everything that was wanted: a compact JWE under the response key", body = String, content_type = "application/jose"),
        (status = 401, description = "The proof does not hold, or the request was used before; one fixed body", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 403, description = "Policy does not allow a want", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 404, description = "Policy allows it, and there is no such secret, version or alias", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 429, description = "Too many requests; from the gateway", content_type = "application/problem+json"),
        (status = 503, description = "Something that the broker needs does not answer", body = ProblemDetails, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn exchange<P: Ports>(
    State(broker): State<Arc<Broker<P>>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let mut trail = Trail::default();
    let run = run(&broker, &caller, &headers, body, &mut trail);
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
        wire: Some(WIRE),
        wants: trail.wants.as_deref(),
        policies: trail.policies.as_deref(),
        ..Event::new("exchange", ending.outcome, &caller.request_id)
    });
    match ending.answer {
        Ok(answer) => {
            let headers = [
                (header::CONTENT_TYPE, HeaderValue::from_static(JOSE)),
                (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            ];
            (StatusCode::OK, headers, answer).into_response()
        }
        Err(problem) => problem.respond(&caller.request_id),
    }
}

/// The checks in their order: what proves the caller, policy for every want, the ledger, then the release.
async fn run<P: Ports>(
    broker: &Broker<P>,
    caller: &Caller,
    headers: &HeaderMap,
    body: Body,
    trail: &mut Trail,
) -> Ending {
    let body = match read(headers, body).await {
        Ok(body) => body,
        Err(refusal) => return Ending::refused(refusal),
    };
    let exchange = match broker.verify(&body).await {
        Ok(exchange) => exchange,
        Err(Unverified::Refused(refusal)) => return Ending::refused(refusal),
        Err(Unverified::Fault(fault)) => return Ending::fault("material", &fault, caller),
    };
    trail.group = Some(exchange.group().to_string());
    trail.pool_id = Some(exchange.pool_id().to_string());
    trail.jti = Some(exchange.request_id().to_owned());
    trail.wants = Some(describe(exchange.wants()));

    let circumstances = Circumstances { source_ip: caller.source_ip, now: broker.adapters.clock.now(), wire: WIRE };
    let loaded = match broker.policies.get(&broker.adapters.clock).await {
        Ok(loaded) => loaded,
        Err(fault) => return Ending::fault("policies", &fault, caller),
    };
    let authorized = match authorize(exchange, &loaded.policies, circumstances) {
        Ok(authorized) => authorized,
        Err(denied) => {
            let Denied { exchange, denial } = *denied;
            return Ending::denied(denial, exchange.seal_denial(denial, &SystemRandom));
        }
    };
    trail.policies = Some(authorized.policies().to_owned());

    let attempt = Attempt { circumstances, invocation_id: &caller.request_id, keep_days: broker.config.audit_days };
    let spent = match authorized.spend(&broker.adapters.ledger, attempt).await {
        Ok(spent) => spent,
        Err(SpendError::AlreadySpent) => return Ending::refused(Refusal::Replayed),
        Err(SpendError::Fault(fault)) => return Ending::fault("ledger", &fault, caller),
    };
    match release(broker, spent, caller.source_ip).await {
        Ok(answer) => Ending { outcome: Outcome::Granted, reason: None, answer: Ok(answer) },
        Err(Unreleased::Denied(denial, detail)) => Ending::denied(denial, detail),
        Err(Unreleased::Fault(fault)) => Ending::fault("release", &fault, caller),
    }
}

async fn read(headers: &HeaderMap, body: Body) -> Result<Vec<u8>, Refusal> {
    let content_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    if !content_type.is_some_and(|found| found.eq_ignore_ascii_case(JOSE.as_bytes())) {
        return Err(Refusal::WrongContentType);
    }
    to_bytes(body, MAX_REQUEST_BYTES).await.map(Vec::from).map_err(|_| Refusal::Oversized)
}

impl Ending {
    const fn refused(refusal: Refusal) -> Self {
        Self { outcome: Outcome::Refused, reason: Some(refusal.code()), answer: Err(Problem::Refused) }
    }

    fn denied(denial: Denial, detail: String) -> Self {
        let (reason, problem) = match denial.code {
            DenialCode::Denied => ("policy", Problem::Denied { detail }),
            DenialCode::NotFound => ("not_found", Problem::NotFound { detail: Some(detail) }),
        };
        Self { outcome: Outcome::Denied, reason: Some(reason), answer: Err(problem) }
    }

    const fn failed(reason: &'static str) -> Self {
        Self { outcome: Outcome::Failed, reason: Some(reason), answer: Err(Problem::Unavailable) }
    }

    fn fault(step: &'static str, fault: &Fault, caller: &Caller) -> Self {
        tracing::error!(step, error = chain(fault), request_id = caller.request_id, "exchange failed");
        Self::failed(step)
    }
}
