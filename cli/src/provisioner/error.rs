use std::path::PathBuf;

use step::KeyError;

use crate::AwsError;

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
    /// A call of AWS brought nothing.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// The CA gives out encrypted private keys.
    #[error("the CA gives out the encrypted private key of {0}")]
    Exposed(String),
}

impl ProvisionerError {
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
            Self::Aws(AwsError::NotPermitted { action: "s3:GetObject", .. }) => {
                "these AWS credentials need s3:GetObject, and s3:ListBucket for an object that is not there yet".into()
            }
            Self::Aws(AwsError::NoAnswer { .. }) => {
                "check --bucket, the AWS credentials, the region and the network; then repeat".into()
            }
            Self::Aws(error) => error.hint(),
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
            Self::NoSecret(_) => 6,
            Self::Aws(error) => error.exit_code(),
        }
    }
}
