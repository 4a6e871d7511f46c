use axum::{
    Router,
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, header},
    middleware::{Next, from_fn},
    response::Response,
};

use crate::{Caller, Problem};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A function's routes with what all functions have: problems for other routes and methods, and the request's id in every
/// answer. A request must carry a [`Caller`], which the runner puts there.
pub fn complete(routes: Router) -> Router {
    routes
        .fallback(async |caller: Caller| Problem::NotFound { detail: None }.respond(&caller.request_id))
        .method_not_allowed_fallback(async |caller: Caller| Problem::MethodNotAllowed.respond(&caller.request_id))
        .layer(from_fn(with_request_id))
}

async fn with_request_id(caller: Caller, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if let Ok(id) = HeaderValue::from_str(&caller.request_id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// Whether the client has this entity tag: `If-None-Match`, a list, compared weakly (RFC 9110 section 13.1.2).
#[must_use]
pub fn has(headers: &HeaderMap, tag: &str) -> bool {
    let known = headers.get(header::IF_NONE_MATCH).and_then(|known| known.to_str().ok()).unwrap_or_default();
    known.split(',').any(|known| known.trim().trim_start_matches("W/") == tag)
}
