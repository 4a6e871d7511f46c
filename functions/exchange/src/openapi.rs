use utoipa::OpenApi;

use crate::{exchange, manifest, router, v1};

/// The routes of this function, for `openapi.json`.
#[derive(OpenApi)]
#[openapi(
    info(title = "Countersign", description = "A credential broker: proof in, credentials out."),
    paths(exchange::exchange, manifest::manifest, router::health, v1::verify, v1::stage_verify)
)]
struct Routes;

/// The description of this function's routes (OpenAPI 3.1).
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    Routes::openapi()
}
