use std::sync::Arc;

use axum::{Router, routing::get};

use crate::{
    Ports, Service,
    keys::{jwk_set, jwks},
    nonce::nonce,
    token::token,
    verify::verify,
    who_am_i::who_am_i,
};

/// The routes of this function over a service. A request must carry a [`web::Caller`], which the runner puts there.
pub fn router<P: Ports>(service: Arc<Service<P>>) -> Router {
    let routes = Router::new()
        .route("/nonce", get(nonce).post(token))
        .route("/jwks", get(jwks))
        .route("/.well-known/jwks.json", get(jwk_set))
        .route("/verify", get(verify))
        .route("/v2/whoami", get(who_am_i));
    web::complete(routes.with_state(service))
}
