//! The issuer of access tokens over the ports: which key signs, which keys verify, and a record of every token.
//!
//! [`PublicKeys`] is all that a verifier needs. [`Issuer`] signs.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod issuer;
mod public_keys;
mod published;

pub use issuer::{Config, Issued, Issuer, Order, Signer};
pub use public_keys::{PublicKeys, Unverified};
pub use published::{KEYS_MAX_AGE, PUBLISHED_BEFORE_SIGNING, PublishedKey, PublishedKeys, PublishedSource};
