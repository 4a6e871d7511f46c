use utoipa::OpenApi;

use crate::{bulk, delete, provision, status, task, thing};

/// The routes of this function, for `openapi.json`.
#[derive(OpenApi)]
#[openapi(paths(provision::provision, thing::thing, delete::delete, status::status, bulk::bulk, task::task))]
struct Routes;

/// The description of this function's routes (OpenAPI 3.1).
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    Routes::openapi()
}
