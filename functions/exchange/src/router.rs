use std::sync::Arc;

use axum::{
    Router,
    http::{HeaderName, HeaderValue, header},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use web::{Caller, Problem};

use crate::{Broker, Ports, exchange::exchange, manifest::manifest, v1::verify};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The routes of this function over a broker. A request must carry a [`Caller`], which the runner puts there.
pub fn router<P: Ports>(broker: Arc<Broker<P>>) -> Router {
    let v1 = match &broker.config.v1_group {
        None => Router::new(),
        Some(group) => Router::new()
            .route("/verify", post(verify))
            .route("/Stage/verify", post(verify))
            .with_state((Arc::clone(&broker), group.clone())),
    };
    Router::new()
        .route("/v2/exchange", post(exchange))
        .route("/v2/manifest/{group}", get(manifest))
        .route("/health", get(health))
        .with_state(broker)
        .merge(v1)
        .fallback(async |caller: Caller| Problem::NotFound { detail: None }.respond(&caller.request_id))
        .method_not_allowed_fallback(async |caller: Caller| Problem::MethodNotAllowed.respond(&caller.request_id))
        .layer(from_fn(with_request_id))
}

/// Names the request in its answer, whatever that is.
async fn with_request_id(caller: Caller, request: axum::extract::Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if let Ok(id) = HeaderValue::from_str(&caller.request_id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// The process runs. It asks nothing of what the process depends on.
#[utoipa::path(get, path = "/health", tag = "exchange", responses((status = 200, description = "The process runs", body = Health)))]
pub(crate) async fn health() -> Response {
    ([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], axum::Json(Health { status: "ok" }))
        .into_response()
}

/// That the process runs.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(crate) struct Health {
    /// `ok`.
    status: &'static str,
}
