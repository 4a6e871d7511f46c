//! HTTP as Countersign's programs speak it to the outside: clients, bounded bodies, and when to try again.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod clients;
mod get;
mod retry;

pub use clients::{Http, body, is_local, is_private, settled};
pub use get::{Fetched, GetError};
pub use retry::{MAX_TRIES, is_worth_another, pause, share};
