use std::sync::Arc;

use axum::{Router, routing::post};

use crate::{
    Ports, Service,
    challenge::challenge,
    older::{registration, revoke_token, send_token},
    revocation::revocation,
    token::token,
};

/// The routes of this function over a service. A request must carry a [`web::Caller`], which the runner puts there.
pub fn router<P: Ports>(service: Arc<Service<P>>) -> Router {
    let routes = Router::new()
        .route("/v2/enroll/challenge", post(challenge))
        .route("/v2/enroll/token", post(token))
        .route("/v2/enroll/revocation", post(revocation))
        .route("/registration", post(registration))
        .route("/send_token", post(send_token))
        .route("/revoke_token", post(revoke_token));
    web::complete(routes.with_state(service))
}
