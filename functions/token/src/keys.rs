use std::sync::Arc;

use access_token::KeySet;
use aws_lc_rs::digest::{SHA256, digest};
use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use issuer::KEYS_MAX_AGE;
use ports::chain;
use serde::Serialize;
use web::{Caller, Problem, ProblemDetails};

use crate::{Ports, Service};

/// The issuer's public keys as a bare list, for the older service's clients.
///
/// Every live generation, the newest first.
#[utoipa::path(
    get,
    path = "/jwks",
    tag = "token",
    params(("If-None-Match" = Option<String>, Header, description = "The entity tag of the keys that the client has")),
    responses(
        (status = 200, description = "A list of JWKs (RFC 7517)", body = Vec<Object>, headers(("ETag" = String), ("Cache-Control" = String))),
        (status = 304, description = "The client has the current keys"),
        (status = 503, description = "The keys cannot be read, or there was no rotation yet", body = ProblemDetails, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn jwks<P: Ports>(
    State(service): State<Arc<Service<P>>>,
    caller: Caller,
    headers: HeaderMap,
) -> Response {
    respond(&service, &caller, &headers, |keys| serde_json::json!(keys.keys())).await
}

/// The issuer's public keys as a JWK Set (RFC 7517 section 5).
///
/// Every live generation, the newest first. A key is here for longer than these answers may be kept before it signs.
#[utoipa::path(
    get,
    path = "/.well-known/jwks.json",
    tag = "token",
    params(("If-None-Match" = Option<String>, Header, description = "The entity tag of the keys that the client has")),
    responses(
        (status = 200, description = "A JWK Set", body = Object, headers(("ETag" = String), ("Cache-Control" = String))),
        (status = 304, description = "The client has the current keys"),
        (status = 503, description = "The keys cannot be read, or there was no rotation yet", body = ProblemDetails, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn jwk_set<P: Ports>(
    State(service): State<Arc<Service<P>>>,
    caller: Caller,
    headers: HeaderMap,
) -> Response {
    respond(&service, &caller, &headers, |keys| serde_json::json!({ "keys": keys.keys() })).await
}

async fn respond<P: Ports, B: Serialize>(
    service: &Service<P>,
    caller: &Caller,
    headers: &HeaderMap,
    form: impl FnOnce(&KeySet) -> B,
) -> Response {
    let keys = match service.issuer.public_keys.live(&service.clock).await {
        Ok(keys) => keys,
        Err(fault) => {
            tracing::error!(error = chain(&fault), request_id = caller.request_id, "no keys");
            return Problem::Unavailable.respond(&caller.request_id);
        }
    };
    let body = serde_json::to_vec(&form(&keys)).expect("keys serialize");
    let tag = format!("\"{}\"", hex::encode(&digest(&SHA256, &body).as_ref()[..16]));
    let common = [(header::CACHE_CONTROL, format!("public, max-age={KEYS_MAX_AGE}")), (header::ETAG, tag.clone())];
    if web::has(headers, &tag) {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    let content_type = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    (StatusCode::OK, common, content_type, body).into_response()
}
