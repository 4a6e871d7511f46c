use std::sync::Arc;

use access_token::bearer;
use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use issuer::Unverified;
use ports::chain;
use web::{Bearer, Caller, Problem, ProblemDetails};

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
        (None, _) => return unauthorized(&caller, "Bearer"),
        (Some(header), None) => header.to_str().ok().and_then(bearer),
        (Some(_), Some(_)) => None,
    };
    let Some(token) = token else { return unauthorized(&caller, r#"Bearer error="invalid_token""#) };
    match service.issuer.public_keys.verify(token, caller.source_ip, &service.clock).await {
        Ok(_) => (StatusCode::OK, [(header::CACHE_CONTROL, "no-store")]).into_response(),
        Err(Unverified::Refused(refusal)) => {
            tracing::info!(reason = refusal.code(), request_id = caller.request_id, "token refused");
            unauthorized(&caller, r#"Bearer error="invalid_token""#)
        }
        Err(Unverified::Fault(fault)) => {
            tracing::error!(error = chain(&fault), request_id = caller.request_id, "token not verified");
            Problem::Unavailable.respond(&caller.request_id)
        }
    }
}

fn unauthorized(caller: &Caller, challenge: &'static str) -> Response {
    let mut response = Problem::Refused.respond(&caller.request_id);
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    response
}

/// What the authorizer found the caller's token to say: `sub`, `scope`, `ses`.
///
/// An example of a route behind the authorizer, and a way to see what others behind it see.
#[utoipa::path(
    get,
    path = "/v2/whoami",
    tag = "token",
    params(("Authorization" = String, Header, description = "`Bearer TOKEN`")),
    responses(
        (status = 200, description = "What the token says", body = WhoAmI),
        (status = 401, description = "The token is not valid where it is used, or there is none; from the gateway", content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn who_am_i(Bearer { subject, scope, session }: Bearer) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], axum::Json(WhoAmI { sub: subject, scope, ses: session })).into_response()
}

/// What a token says.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(crate) struct WhoAmI {
    /// Whom it speaks of.
    sub: String,
    /// What it is for.
    scope: String,
    /// Names the session.
    ses: String,
}
