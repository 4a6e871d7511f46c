//! What Rust tests of several crates share: a router that is asked ([`ask`]), and the log of a thread ([`Log`]).
//!
//! Nothing that is deployed links this crate. Whatever a test did not expect here is a panic.
#![allow(clippy::unwrap_used, clippy::panic, reason = "for tests alone")]

mod answered;
mod log;

pub use answered::{Answered, MALFORMED, REFUSED, ask};
pub use log::Log;
