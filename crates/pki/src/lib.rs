//! Device certificates.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod certificate_id;
mod error;
mod skeleton;

pub use certificate_id::CertificateId;
pub use error::PkiError;
pub use skeleton::*;

/// The largest PEM text that is read, in bytes.
pub const MAX_PEM_BYTES: usize = 16 * 1024;
