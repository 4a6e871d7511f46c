//! The rotation: a new certificate for one-time tokens of a step-ca, a new server key, a new token key, a new pool for every group,
//! then the manifests that name them, then copies elsewhere.
//!
//! [`rotate`] runs on a schedule and by hand. Writing a group's manifest is the commit point: a crash before it leaves
//! the old generation whole, and the next run finishes what was begun.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod config;
mod copies;
mod events;
mod rotation;
mod token_key;
mod x5c_leaf;

pub use config::{Config, Npm};
pub use copies::Published;
pub use events::record;
pub use rotation::{Adapters, Order, Report, RotateError, Rotated, rotate};
pub use x5c_leaf::X5cLeaf;
