use utoipa::OpenApi;

use crate::{challenge, older, revocation, token};

/// The routes of this function, for `openapi.json`.
#[derive(OpenApi)]
#[openapi(paths(
    challenge::challenge,
    token::token,
    revocation::revocation,
    older::registration,
    older::send_token,
    older::revoke_token
))]
struct Routes;

/// The description of this function's routes (OpenAPI 3.1).
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    Routes::openapi()
}
