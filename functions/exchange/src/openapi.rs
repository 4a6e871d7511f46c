use utoipa::OpenApi;

use crate::{exchange, manifest, router};

/// The routes of this function, for `openapi.json`.
#[derive(OpenApi)]
#[openapi(
    info(title = "Countersign", description = "A credential broker: proof in, credentials out."),
    paths(exchange::exchange, manifest::manifest, router::health)
)]
struct Routes;

/// The description of this function's routes (OpenAPI 3.1).
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    Routes::openapi()
}
