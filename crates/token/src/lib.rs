//! Access tokens.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod network;
mod scope;

pub use network::{InvalidNetwork, Network};
pub use scope::{InvalidScope, Scope};
