use utoipa::OpenApi;

use crate::{keys, nonce, token, verify, who_am_i};

/// The routes of this function, for `openapi.json`.
#[derive(OpenApi)]
#[openapi(paths(nonce::nonce, token::token, keys::jwks, keys::jwk_set, verify::verify, who_am_i::who_am_i))]
struct Routes;

/// The description of this function's routes (OpenAPI 3.1).
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    Routes::openapi()
}
