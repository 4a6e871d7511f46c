use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use web::{Caller, Problem, chain};

use crate::{Broker, Ports};

/// `GET /v2/manifest/{group}`: the manifest as it stands in S3, with its entity tag.
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
    let unchanged =
        headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == material.etag.0.as_bytes());
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
