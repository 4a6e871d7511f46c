//! The registration authority of a step-ca: what gives out the one-time tokens that a step-ca takes for certificates.
//!
//! * [`Ca`] says which CA it is, and which of its provisioners signs; the operator wrote it.
//! * [`ProvisionerKey`] is that provisioner's private key: [`JwkKey`], or [`X5cKey`], which [`x5c`] makes.
//! * [`Registrar`] signs a token once somebody may have it, after the ledger has a record of it.
//!
//! Tokens are what step-ca defines (`authority/provisioner/jwk.go` and `x5c.go` of `smallstep/certificates`). The crate reads no
//! clock: time is a parameter, and so is the randomness of a token's name. Cryptography is AWS-LC's throughout.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod ca;
mod ca_url;
mod claims;
mod error;
mod jwe;
mod jwk_key;
mod provisioner;
mod provisioner_key;
mod registrar;
mod root_fingerprint;
mod secret_json;
mod serial;
mod sources;
pub mod x5c;
mod x5c_key;

pub use ca::Ca;
pub use ca_url::CaUrl;
pub use error::{InvalidText, KeyError};
pub use jwk_key::JwkKey;
pub use provisioner::{Provisioner, ProvisionerKind, ProvisionerName};
pub use provisioner_key::ProvisionerKey;
pub use registrar::{IssuedOtt, OttOrder, Purpose, Registrar, RegistrarConfig, Signer};
pub use root_fingerprint::RootFingerprint;
pub use serial::SerialNumber;
pub use x5c_key::X5cKey;

/// How long a one-time token lives, in seconds.
pub const OTT_SECONDS: u64 = 300;

/// The largest text of a key that is read, in bytes. A chain of RSA certificates of 4096 bits with its key has 8 KiB.
const MAX_KEY_BYTES: usize = 32 * 1024;
