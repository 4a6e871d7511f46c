//! Access tokens for ssh keys: `GET` and `POST /nonce`, `GET /jwks`, `GET /.well-known/jwks.json`, `GET /verify`, `GET /v2/whoami`.
//!
//! [`router`] is generic over the ports, so that the Lambda function, the local server and the tests run the same handlers.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod authorize;
mod config;
mod keys;
mod nonce;
mod openapi;
mod proof;
mod rate;
mod registry;
mod router;
mod service;
mod token;
mod verify;
mod who_am_i;

pub use config::Config;
pub use openapi::openapi;
pub use router::router;
pub use service::{Adapters, Ports, Service};
