//! Countersign's HTTP edge: what every function shares between its router and the outside.
//!
//! [`Problem`] alone turns outcomes into status, stable code and fixed text; [`audit`] is what is remembered of them;
//! [`run`] puts a router behind API Gateway or behind a port of this machine.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod audit;
mod caller;
mod ending;
mod lambda;
mod local;
pub mod log;
mod problem;
mod routes;

pub use audit::{Event, Outcome, audit};
pub use caller::{Bearer, Caller, Domain, subscriber};
pub use ending::Ending;
pub use lambda::lambda_service;
pub use problem::{Problem, ProblemDetails};
pub use routes::{complete, has};

/// Runs a router where this process finds itself: on AWS Lambda, or on the port that `LISTEN` names
/// (by default `127.0.0.1:8080`).
///
/// # Errors
/// Where the runtime API does not answer or the address cannot be listened on.
pub async fn run(router: axum::Router) -> Result<(), lambda_http::Error> {
    if lambda::is_here() {
        return lambda::run(router).await;
    }
    let address = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:8080".to_owned()).parse()?;
    Ok(local::run(router, address).await?)
}
