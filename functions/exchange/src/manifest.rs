use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use ports::chain;
use protocol::{Group, Manifest};
use web::{Caller, Problem, ProblemDetails};

use crate::{Broker, Ports};

/// A group's manifest as it stands in S3, with its entity tag.
#[utoipa::path(
    get,
    path = "/v2/manifest/{group}",
    tag = "exchange",
    params(
        ("group" = Group, Path),
        ("If-None-Match" = Option<String>, Header, description = "The entity tag of the manifest that the client has"),
    ),
    responses(
        (status = 200, description = "The manifest; it holds nothing secret", body = Manifest, headers(("ETag" = String))),
        (status = 304, description = "The manifest that the client has is the current one"),
        (status = 404, description = "There is no such group", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 503, description = "The manifest cannot be read, or there was no rotation yet", body = ProblemDetails, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn manifest<P: Ports>(
    State(broker): State<Arc<Broker<P>>>,
    Path(group): Path<String>,
    caller: Caller,
    headers: HeaderMap,
) -> Response {
    let material = match broker.material(&group).await {
        None => return Problem::NotFound { detail: None }.respond(&caller.request_id),
        Some(Ok(material)) => material,
        Some(Err(fault)) => {
            tracing::error!(error = chain(&fault), request_id = caller.request_id, "manifest failed");
            return Problem::Unavailable.respond(&caller.request_id);
        }
    };
    let unchanged = web::has(&headers, &material.etag.0);
    let Ok(etag) = HeaderValue::from_str(&material.etag.0) else {
        return Problem::Unavailable.respond(&caller.request_id);
    };
    let common = [(header::ETAG, etag), (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"))];
    if unchanged {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    let content_type = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    (StatusCode::OK, common, content_type, material.json.clone()).into_response()
}
