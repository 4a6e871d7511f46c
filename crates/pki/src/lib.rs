//! Device certificates: names, keys, certificate signing requests, and the customer's own authority.
//!
//! * A device's side: [`DeviceKey`] makes a key and a [`Csr`].
//! * The broker's side: [`Csr::from_pem`] takes in nothing but what it can vouch for, and [`Authority::issue`] signs a
//!   [`Certificate`] under the customer's CA. [`new_root`] makes a CA for those who have none.
//!
//! The crate does no I/O and reads no clock: the time is a parameter, and so is the randomness of serial numbers.
//! X.509 is read and written with the types of `x509-cert`; keys and signatures are AWS-LC's throughout.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod authority;
mod certificate;
mod certificate_id;
mod certified_name;
mod chain;
mod csr;
mod decimal;
mod device_key;
mod draft;
mod encoding;
mod error;
mod extension;
mod jws;
mod name;
mod named_request;
mod pem;
mod public_key;
mod root;
mod signing_key;
mod subject;

pub use authority::{Authority, Order, verification_certificate};
pub use certificate::Certificate;
pub use certificate_id::CertificateId;
pub use certified_name::CertifiedName;
pub use chain::is_chain;
pub use csr::Csr;
pub use device_key::{DeviceKey, KeyKind};
pub use error::PkiError;
pub use jws::JwsAlgorithm;
pub use named_request::NamedRequest;
pub use public_key::PublicKey;
pub use root::{new_root, new_upper_root};
pub use subject::{Subject, SubjectFields};

/// The largest PEM text that is read, in bytes. A request or certificate has 1 to 3 KiB, an RSA key of 8192 bits 7 KiB.
pub const MAX_PEM_BYTES: usize = 16 * 1024;

/// The largest PEM text of several certificates that is read, in bytes.
pub const MAX_CHAIN_BYTES: usize = 32 * 1024;
