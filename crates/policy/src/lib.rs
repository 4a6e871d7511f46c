//! Who may receive what: Cedar policies, deny by default, under the schema in `schema.cedarschema`.
//!
//! [`Policies`] are validated when they are loaded; [`PolicySource`] loads them from a bucket and keeps the last good
//! set where a file is not valid.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod access;
#[cfg(test)]
mod device_tests;
#[cfg(test)]
mod enrolment_tests;
mod policies;
mod source;
mod token_options;

pub use access::{
    Access, Action, BearerPrincipal, CertificateRequest, Circumstances, Device, Principal, SshKeyPrincipal,
};
pub use policies::{Decision, Policies, PolicyError};
pub use source::PolicySource;
pub use token_options::{AnnotationError, Contradiction, TokenDenied, TokenOptions};
