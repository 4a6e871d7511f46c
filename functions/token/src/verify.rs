use std::sync::Arc;

use access_token::{TokenRefusal, bearer};
use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use issuer::Unverified;
use ports::chain;
use web::{Caller, Event, Outcome, Problem, ProblemDetails, audit};

use crate::{Ports, Service};

/// Whether the caller's token is valid where it calls from.
///
/// The answer is 200 with an empty body, or 401 (RFC 6750 section 3), which does not say why.
#[utoipa::path(
    get,
    path = "/verify",
    tag = "token",
    params(("Authorization" = String, Header, description = "`Bearer TOKEN`")),
    responses(
        (status = 200, description = "It is"),
        (status = 401, description = "It is not, or there is none", body = ProblemDetails, content_type = "application/problem+json", headers(("WWW-Authenticate" = String))),
        (status = 503, description = "The issuer's keys cannot be read", body = ProblemDetails, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn verify<P: Ports>(
    State(service): State<Arc<Service<P>>>,
    caller: Caller,
    headers: HeaderMap,
) -> Response {
    // Of several headers, some program may read another than this one.
    let mut found = headers.get_all(header::AUTHORIZATION).iter();
    let token = match (found.next(), found.next()) {
        (None, _) => return unauthorized(&caller, "no_token", "Bearer"),
        (Some(header), None) => header.to_str().ok().and_then(bearer),
        (Some(_), Some(_)) => None,
    };
    let verified = match token {
        Some(token) => service.issuer.public_keys.verify(token, caller.source_ip, &service.clock).await,
        None => Err(Unverified::Refused(TokenRefusal::Malformed)),
    };
    match verified {
        Ok(_) => (StatusCode::OK, [(header::CACHE_CONTROL, "no-store")]).into_response(),
        Err(Unverified::Refused(refusal)) => unauthorized(&caller, refusal.code(), r#"Bearer error="invalid_token""#),
        Err(Unverified::Fault(fault)) => {
            tracing::error!(error = chain(&fault), request_id = caller.request_id, "token not verified");
            Problem::Unavailable.respond(&caller.request_id)
        }
    }
}

fn unauthorized(caller: &Caller, reason: &'static str, challenge: &'static str) -> Response {
    let event = Event::new("verify", Outcome::Refused, &caller.request_id);
    audit(&Event { reason: Some(reason), source_ip: Some(caller.source_ip), ..event });
    let mut response = Problem::Refused.respond(&caller.request_id);
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    response
}
