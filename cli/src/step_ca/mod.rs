//! A client of step-ca: certificates for one-time tokens, their renewal and revocation over mutual TLS, and what the CA tells of
//! itself.
//!
//! Source: the API of github.com/smallstep/certificates, package `api`.

mod client;
mod error;
#[cfg(test)]
pub(crate) mod fixture;
mod identity;
mod issued;
mod listed_provisioner;
mod reason_code;

pub use client::{Revoker, StepCa};
pub use error::{Asked, CaSaid, StepCaError};
pub use identity::Identity;
pub use issued::{Expected, Issued, Names};
pub use listed_provisioner::ListedProvisioner;
pub use reason_code::{InvalidReasonCode, ReasonCode};
