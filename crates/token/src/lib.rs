//! Access tokens for ssh keys: what issuer, verifier and client share, and all that a service needs to verify a token.
//!
//! A token is a JWT (RFC 7519) signed with ES256. A service needs the issuer's public keys and the caller's address:
//!
//! ```no_run
//! use countersign_token::{KeySet, bearer, verify};
//!
//! # fn example(jwks: &[u8], header: &str, peer: std::net::IpAddr, now: u64) -> Result<(), Box<dyn std::error::Error>> {
//! let keys = KeySet::from_json(jwks)?; // GET /.well-known/jwks.json, kept for its max-age
//! let token = verify(bearer(header).ok_or("no token")?, peer, &keys, now)?;
//! if token.claims().scope.contains("things:read") {
//!     println!("{} may read", token.claims().subject);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The crate does no I/O and reads no clock. Cryptography is AWS-LC's throughout; of `ssh-key` it uses the encodings.
//! The wire is specified in `docs/protocol-token.md`.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod authorized_keys;
mod base64url;
mod error;
mod fingerprint;
mod jwk;
mod jws;
mod key_set;
mod lifetime;
mod network;
mod network_name;
mod nonce;
pub mod pkce;
mod registry;
mod scope;
mod signing_key;
mod ssh_key;
mod token;

pub use authorized_keys::{AuthorizedKey, InvalidLine, LineError};

pub use base64url::decode_lenient;
pub use error::TokenRefusal;
pub use fingerprint::{Fingerprint, InvalidFingerprint};
pub use jwk::{InvalidPublicKey, PublicKey};
pub use key_set::{InvalidKeySet, KeySet};
pub use lifetime::{InvalidLifetime, Lifetime};
pub use network::{InvalidNetwork, Network};
pub use network_name::{InvalidNetworkName, NetworkName};
pub use nonce::{NonceClaims, SignedNonce, signed_bytes};
pub use registry::{KnownKey, Registry, RegistryError};
pub use scope::{InvalidScope, Scope};
pub use signing_key::{InvalidSigningKey, SigningKey};
pub use ssh_key::{InvalidSshKey, Presence, SignatureRefusal, SshKey};
pub use token::{Claims, LEEWAY_SECONDS, MAX_TOKEN_BYTES, VerifiedToken, bearer, verify};
