//! Certificates of a step-ca, by one-time tokens of the broker: obtained, kept in files, and renewed.

mod broker;
#[cfg(test)]
mod broker_tests;
mod certificate_files;
mod channel;
mod code;
mod error;
mod on_renew;
mod one_time_token;
mod renewable;
mod renewal;
#[cfg(test)]
mod renewal_tests;

pub use broker::{EnrollmentClient, Proof, RevocationOrder, TokenOrder};
pub use certificate_files::{CaRecord, CertificateFiles};
pub use channel::{Channel, InvalidChannel};
pub use code::Code;
pub use error::EnrollmentError;
pub use on_renew::{InvalidOnRenew, OnRenew, Receiver};
pub use one_time_token::OneTimeToken;
pub use renewable::{FileRenewal, Renewable, Validity};
pub use renewal::Renewal;
