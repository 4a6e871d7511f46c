use std::sync::Arc;

use crate::{Broker, Ports, exchange::exchange, manifest::manifest, v1::verify};
use axum::{
    Router,
    http::header,
    response::{IntoResponse, Response},
    routing::{get, post},
};

/// The routes of this function over a broker. A request must carry a [`web::Caller`], which the runner puts there.
pub fn router<P: Ports>(broker: Arc<Broker<P>>) -> Router {
    let v1 = match &broker.config.v1_group {
        None => Router::new(),
        Some(group) => Router::new()
            .route("/verify", post(verify))
            .route("/Stage/verify", post(verify))
            .with_state((Arc::clone(&broker), group.clone())),
    };
    let routes = Router::new()
        .route("/v2/exchange", post(exchange))
        .route("/v2/manifest/{group}", get(manifest))
        .route("/health", get(health))
        .with_state(broker);
    web::complete(routes.merge(v1))
}

/// The process runs. It asks nothing of what the process depends on.
#[utoipa::path(get, path = "/health", tag = "exchange", responses((status = 200, description = "The process runs", body = Health)))]
pub(crate) async fn health() -> Response {
    ([(header::CACHE_CONTROL, "no-store")], axum::Json(Health { status: "ok" })).into_response()
}

/// That the process runs.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(crate) struct Health {
    /// `ok`.
    status: &'static str,
}
