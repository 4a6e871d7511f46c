use std::path::PathBuf;

use pki::PkiError;

use crate::AwsError;

/// Why a CA was not registered.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// Certificate and key are not those of a CA, or don't belong together.
    #[error("the CA cannot be used")]
    Unusable(#[source] PkiError),
    /// A new CA could not be made.
    #[error("no CA can be made")]
    NotMade(#[source] PkiError),
    /// There is a CA in the folder already.
    #[error("there is a file already: {}", .0.display())]
    FileExists(PathBuf),
    /// Under the CA's parameter there is something else than its key.
    #[error("parameter {0} holds something else than this CA's private key")]
    ParameterTaken(String),
    /// A call of AWS brought nothing.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// AWS IoT gave the CA another id than the one that its key is stored under.
    #[error("AWS IoT has the CA under another id")]
    ForeignId,
}

impl CaError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Unusable(PkiError::EncryptedKey) => {
                "give the key without a passphrase: openssl pkey -in KEY -out PLAIN".into()
            }
            Self::Unusable(_) => {
                "give one CA certificate that may sign certificates, and its key: PKCS#8, PKCS#1 or SEC1 in PEM".into()
            }
            Self::NotMade(_) => "check the subject's options: --country has two letters; and --days".into(),
            Self::FileExists(_) => {
                "give another folder; a CA that was made already is registered with --certificate and --key".into()
            }
            Self::ParameterTaken(name) => {
                format!("look at it: aws ssm get-parameter-history --name {name}; delete it if it is of no use")
            }
            Self::Aws(AwsError::Refused { .. }) => {
                "AWS IoT takes a CA once in a region, valid now; see its message".into()
            }
            Self::Aws(error) => error.hint(),
            Self::ForeignId => "what answers may not be AWS IoT: check AWS_ENDPOINT_URL".into(),
        }
    }

    /// The exit code of the command.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Unusable(_) | Self::NotMade(_) | Self::FileExists(_) => 2,
            Self::ParameterTaken(_) => 4,
            Self::Aws(error) => error.exit_code(),
            Self::ForeignId => 8,
        }
    }
}
