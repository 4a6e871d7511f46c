//! The exchange: `POST /v2/exchange`, `GET /v2/manifest/{group}`, `GET /health`; `POST /verify` for v1 clients.
//!
//! [`router`] is generic over the ports, so that the Lambda function, the local server, the tests and the benches run
//! the same handlers.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod authorize;
mod broker;
mod checks;
mod config;
mod exchange;
mod manifest;
mod material;
mod openapi;
mod release;
mod router;
mod v1;

pub use broker::{Adapters, Broker, Ports};
pub use config::{Config, RoleAlias};
pub use openapi::openapi;
pub use router::router;
