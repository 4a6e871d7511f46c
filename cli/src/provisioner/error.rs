use std::path::PathBuf;

use ports::{Cause, Fault};
use step::KeyError;

/// Why a provisioner's key was not stored, or is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionerError {
    /// The deployment has no place for it.
    #[error("there is no secret {0}")]
    NoSecret(String),
    /// There is a key, and nobody said that it may be replaced.
    #[error("there is a key already in the secret {0}")]
    KeyExists(String),
    /// The broker is told of another CA or provisioner, and nobody said that it may be replaced.
    #[error("{0} names another CA or provisioner")]
    OtherCa(String),
    /// Somebody else stored something meanwhile.
    #[error("somebody else changed {0} meanwhile")]
    Changed(String),
    /// The key in a file is not one that can be imported.
    #[error("the key cannot be imported")]
    NotImported(#[source] KeyError),
    /// The key in a file is encrypted.
    #[error("the key is encrypted, and there is no password")]
    NoPassword,
    /// No key could be made.
    #[error("no key can be made")]
    NotMade(#[source] KeyError),
    /// A root is never replaced.
    #[error("there is a file already: {}", .0.display())]
    FileExists(PathBuf),
    /// AWS does not permit a call to these credentials.
    #[error("not permitted: {action}")]
    NotPermitted {
        /// The action of IAM.
        action: &'static str,
        /// What AWS says.
        #[source]
        source: Cause,
    },
    /// AWS gave no answer.
    #[error("AWS does not answer {action}")]
    Aws {
        /// The action of IAM.
        action: &'static str,
        /// Why not.
        #[source]
        source: Fault,
    },
    /// The CA gives out encrypted private keys.
    #[error("the CA gives out the encrypted private key of {0}")]
    Exposed(String),
}

impl ProvisionerError {
    pub(super) fn of(action: &'static str, fault: Fault) -> Self {
        match fault {
            Fault::Forbidden(source) => Self::NotPermitted { action, source },
            source @ (Fault::Missing
            | Fault::Conflict
            | Fault::Invalid(_)
            | Fault::Throttled(_)
            | Fault::Unavailable(_)
            | Fault::Unusable(_)) => Self::Aws { action, source },
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NoSecret(_) => "the stack makes it: deploy it first; check --stack and the AWS region".into(),
            Self::KeyExists(_) | Self::OtherCa(_) => {
                "--replace puts the new one in its place; with --wait not before the CA lists it".into()
            }
            Self::Changed(_) => "look at what is there, and repeat the command".into(),
            Self::NotImported(KeyError::WrongPassword) => "check --password-file".into(),
            Self::NotImported(_) => {
                "give the encryptedKey of a JWK provisioner, as step makes it, or a private JWK over P-256".into()
            }
            Self::NoPassword => "give --password-file".into(),
            Self::NotMade(_) => "check this machine's clock".into(),
            Self::FileExists(_) => "give another folder with --out".into(),
            Self::NotPermitted { action: "s3:GetObject", .. } => {
                "these AWS credentials need s3:GetObject, and s3:ListBucket for an object that is not there yet".into()
            }
            Self::NotPermitted { action, .. } => {
                format!("these AWS credentials need {action}; then repeat the command")
            }
            Self::Aws { .. } => "check --bucket, the AWS credentials, the region and the network; then repeat".into(),
            Self::Exposed(_) => {
                "who guesses its password signs tokens: take encryptedKey out of the CA's configuration, and replace the key".into()
            }
        }
    }

    /// The exit code of the command.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::NotMade(_) => 1,
            Self::NoPassword | Self::FileExists(_) => 2,
            Self::NotImported(_) => 3,
            Self::KeyExists(_) | Self::OtherCa(_) | Self::Changed(_) | Self::Exposed(_) => 4,
            Self::NotPermitted { .. } => 5,
            Self::NoSecret(_) => 6,
            Self::Aws { .. } => 7,
        }
    }
}
