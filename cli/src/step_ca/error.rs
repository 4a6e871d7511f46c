use std::fmt;

use pki::PkiError;
use ports::Cause;
use serde::Deserialize;

use crate::plain::plain_within;

/// The most that is shown of what a CA says, in characters.
const MAX_SAID: usize = 500;

/// Why a step-ca gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum StepCaError {
    /// The CA was not reached.
    #[error("the CA cannot be reached ({tries} tries)")]
    Unreachable {
        /// How often it was tried.
        tries: u32,
        /// Why not, the last time.
        #[source]
        source: reqwest::Error,
    },
    /// What answers has no certificate that follows from the CA's root.
    #[error("what answers is not the CA: {reason}")]
    NotTheCa {
        /// What is wrong with its certificate, or with its TLS.
        reason: String,
    },
    /// The CA does not know a root of this fingerprint.
    #[error("the CA has no root of this fingerprint")]
    NoSuchRoot,
    /// The root that came has another fingerprint.
    #[error("the root that came has another fingerprint")]
    WrongRoot,
    /// The CA does not take the request (400).
    #[error("the CA does not take it: {0}")]
    Invalid(CaSaid),
    /// The CA refused a token, a certificate, or what was asked for (401, 403).
    #[error("the CA refused it: {0}")]
    Refused(CaSaid),
    /// The CA did not take this certificate for a TLS client's.
    #[error("the CA does not accept the certificate: {reason}")]
    CertificateRefused {
        /// The alert.
        reason: String,
    },
    /// There is no such thing (404).
    #[error("the CA does not know it: {0}")]
    Missing(CaSaid),
    /// The CA could not answer (429, 5xx).
    #[error("the CA cannot answer: {0}")]
    Failed(CaSaid),
    /// No answer came to what may have been done.
    #[error("it is not known what became of the {asked}")]
    Unknown {
        /// What was asked for.
        asked: Asked,
        /// What happened in place of an answer.
        #[source]
        source: Cause,
    },
    /// The answer is none that a CA gives.
    #[error("the CA's answer has status {status}, which this client does not expect")]
    Unexpected {
        /// Its status.
        status: u16,
    },
    /// The answer holds no certificate that can be used.
    #[error("the certificate that came cannot be used: {0}")]
    Unusable(&'static str),
    /// Key and certificate cannot be used for TLS.
    #[error("key and certificate cannot be used")]
    Identity(#[source] PkiError),
    /// Certificate and key are of a form that TLS does not take.
    #[error("key and certificate cannot be used for TLS")]
    NoTlsIdentity(#[source] reqwest::Error),
}

/// What was asked for where the answer was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A certificate, for a token that is good once.
    Certificate,
    /// A revocation.
    Revocation,
}

/// What a CA says in place of what was asked for.
#[derive(Debug)]
pub struct CaSaid {
    status: u16,
    text: Option<String>,
}

#[derive(Deserialize)]
struct Body {
    message: String,
}

impl CaSaid {
    pub(super) fn read(status: u16, body: &[u8]) -> Self {
        let text =
            serde_json::from_slice(body).ok().map(|Body { message }| plain_within(&message, MAX_SAID).into_owned());
        Self { status, text: text.filter(|text| !text.is_empty()) }
    }

    /// The status of its answer.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }
}

impl fmt::Display for CaSaid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.text {
            Some(text) => f.write_str(text),
            None => write!(f, "status {}", self.status),
        }
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certificate => "request for a certificate",
            Self::Revocation => "revocation",
        })
    }
}

impl StepCaError {
    /// Whether another try may end otherwise, with the same key and certificate.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Failed(_) | Self::NotTheCa { .. } | Self::Unexpected { .. })
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Unreachable { .. } => "check the network and the CA's url, which the broker's step-ca/ca.json names",
            Self::NotTheCa { .. } => {
                "check url and fingerprint of the CA, this machine's clock, and what stands between here and there"
            }
            Self::NoSuchRoot | Self::WrongRoot => {
                "check the fingerprint: step certificate fingerprint root_ca.crt; what answers may be another CA"
            }
            Self::Invalid(_) => "check what is asked for against what the CA says; its log tells more",
            Self::Refused(_) => {
                "a token is good once, for five minutes and its names; what is revoked is not renewed; the CA's log tells more"
            }
            Self::CertificateRefused { .. } => "it may have ended, or be another CA's: enrol again",
            Self::Missing(_) => "check the CA's url",
            Self::Failed(_) => "try again later; the CA's log tells what is wrong",
            Self::Unknown { asked: Asked::Certificate, .. } => {
                "the token may be used up: ask for another one; the key is kept, and is used again with --reuse-key"
            }
            Self::Unknown { asked: Asked::Revocation, .. } => {
                "it may be revoked: repeat it, and the CA says so where it is"
            }
            Self::Unexpected { .. } => "check that the url is a step-ca's",
            Self::Unusable(_) => "the CA's log tells what it signed; nothing was written",
            Self::Identity(_) | Self::NoTlsIdentity(_) => "check that certificate and key belong together",
        }
        .into()
    }

    /// The exit code of the command.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Invalid(_) => 2,
            Self::Identity(_) | Self::NoTlsIdentity(_) => 3,
            Self::Refused(_) | Self::CertificateRefused { .. } => 4,
            Self::Missing(_) => 6,
            Self::Unreachable { .. } | Self::Failed(_) | Self::Unknown { .. } => 7,
            Self::NotTheCa { .. }
            | Self::NoSuchRoot
            | Self::WrongRoot
            | Self::Unexpected { .. }
            | Self::Unusable(_) => 8,
        }
    }
}
