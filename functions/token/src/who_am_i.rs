use axum::{
    Json,
    http::header,
    response::{IntoResponse, Response},
};
use web::Bearer;

/// What the authorizer found the caller's token to say: `sub`, `scope`, `ses`.
///
/// An example of a route behind the authorizer, and a way to see what others behind it see.
#[utoipa::path(
    get,
    path = "/v2/whoami",
    tag = "token",
    params(("Authorization" = String, Header, description = "`Bearer TOKEN`")),
    responses(
        (status = 200, description = "What the token says", body = WhoAmI),
        (status = 401, description = "The token is not valid where it is used, or there is none; from the gateway", content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn who_am_i(Bearer { subject, scope, session }: Bearer) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(WhoAmI { sub: subject, scope, ses: session })).into_response()
}

/// What a token says.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(crate) struct WhoAmI {
    /// Whom it speaks of.
    sub: String,
    /// What it is for.
    scope: String,
    /// Names the session.
    ses: String,
}
