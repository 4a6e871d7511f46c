use std::sync::Arc;

use axum::{
    body::{Body, to_bytes},
    extract::State,
    http::{HeaderMap, header},
    response::Response,
};
use issuer::Issued;
use policy::Circumstances;
use ports::Clock as _;
use protocol::{MAX_REQUEST_BYTES, SystemRandom};
use web::{Caller, Ending, Event, Problem, ProblemDetails, audit};

use crate::{
    Ports, Service,
    authorize::authorize,
    nonce::text,
    proof::{Redeem, Unproven, prove},
};

/// The wire's name in policies and audit.
const WIRE: &str = "ssh";

/// What was learnt of an attempt on the way, for the audit event.
#[derive(Default)]
struct Trail {
    subject: Option<String>,
    session: Option<String>,
    policies: Option<String>,
    detail: Option<String>,
}

/// A token for the nonce that the client's key has signed.
///
/// A well-formed request spends its state, whatever comes of it; but for a 503 because the known keys cannot be read.
#[utoipa::path(
    post,
    path = "/nonce",
    tag = "token",
    request_body(content = Redeem, content_type = "application/json"),
    responses(
        (status = 200, description = "The token: a JWT, ES256", body = String, content_type = "text/plain"),
        (status = 400, description = "Something is missing or malformed, the state is not pending, or the verifier is wrong; one fixed body", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 401, description = "The key is not known, or did not sign this; one fixed body", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 403, description = "Policy does not allow this key a token", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 429, description = "Too many requests, from this address or in all", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 503, description = "Something that the broker needs does not answer", body = ProblemDetails, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn token<P: Ports>(
    State(service): State<Arc<Service<P>>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let mut trail = Trail::default();
    let run = run(&service, &caller, &headers, body, &mut trail);
    let ending = match tokio::time::timeout(service.config.deadline, run).await {
        Ok(ending) => ending,
        Err(_) => Ending::failed("deadline"),
    };
    audit(&Event {
        reason: ending.reason,
        source_ip: Some(caller.source_ip),
        wire: Some(WIRE),
        subject: trail.subject.as_deref(),
        session: trail.session.as_deref(),
        policies: trail.policies.as_deref(),
        detail: trail.detail.as_deref(),
        ..Event::new("token", ending.outcome, &caller.request_id)
    });
    match ending.answer {
        Ok(token) => text(token),
        Err(problem) => problem.respond(&caller.request_id),
    }
}

/// The checks in their order: the proof, policy, the ledger's record, then the token.
async fn run<P: Ports>(
    service: &Service<P>,
    caller: &Caller,
    headers: &HeaderMap,
    body: Body,
    trail: &mut Trail,
) -> Ending {
    let now = service.clock.unix_seconds();
    if let Err(retry_after) = service.attempts.count(caller.source_ip, now) {
        return Ending::refused("rate", Problem::TooManyRequests { retry_after });
    }
    let Some(body) = read(headers, body).await else { return malformed("malformed") };
    let clock = &service.clock;
    let registry = match service.registry.get(clock).await {
        Ok(registry) => registry,
        Err(fault) => return Ending::fault("registry", &fault, caller),
    };
    let proven = match prove(service, &registry.value, &body).await {
        Ok(proven) => proven,
        Err(Unproven::Malformed(reason)) => return malformed(reason),
        Err(Unproven::Refused(reason)) => return Ending::refused(reason, Problem::Refused),
        Err(Unproven::Fault(step, fault)) => return Ending::fault(step, &fault, caller),
    };
    trail.subject = Some(proven.known.line.key.fingerprint().to_string());
    let policies = match service.policies.get(clock).await {
        Ok(policies) => policies,
        Err(fault) => return Ending::fault("policies", &fault, caller),
    };
    let circumstances = Circumstances { source_ip: caller.source_ip, now: clock.now(), wire: WIRE };
    let authorized = match authorize(proven, &policies.value, circumstances, service.config.tokens.token_seconds) {
        Ok(authorized) => authorized,
        Err(reason) => return Ending::denied(reason, Problem::Denied { detail: None }),
    };
    trail.policies = Some(authorized.policies().to_owned());
    let order = authorized.order(caller);
    match service.issuer.issue(order, &service.ledger, clock, &SystemRandom).await {
        Ok(Issued { token, claims }) => {
            trail.detail = Some(format!("network {}, scope {:?}", claims.network, claims.scope.to_string()));
            trail.session = Some(claims.session);
            Ending::granted(token.expose().clone())
        }
        Err(fault) => Ending::fault("issue", &fault, caller),
    }
}

fn malformed(reason: &'static str) -> Ending {
    Ending::refused(reason, Problem::Malformed)
}

async fn read(headers: &HeaderMap, body: Body) -> Option<Vec<u8>> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|found| found.to_str().ok()).unwrap_or_default();
    // With parameters, such as a charset.
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/json") {
        return None;
    }
    to_bytes(body, MAX_REQUEST_BYTES).await.map(Vec::from).ok()
}
