use protocol::{Secret, SecretValue};

use crate::Fault;

/// A staging label that AWS Secrets Manager moves by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// `AWSCURRENT`.
    Current,
    /// `AWSPREVIOUS`.
    Previous,
}

impl Stage {
    /// The label as the API writes it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Current => "AWSCURRENT",
            Self::Previous => "AWSPREVIOUS",
        }
    }
}

/// Which version of a secret; neither member: the one labelled `AWSCURRENT`. Both: the version must bear the label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VersionSelector<'a> {
    /// A version's id.
    pub id: Option<&'a str>,
    /// A staging label.
    pub stage: Option<&'a str>,
}

/// One version of a secret.
#[derive(Clone, Debug)]
pub struct SecretVersion {
    /// The version's id.
    pub version_id: String,
    /// Its staging labels.
    pub version_stages: Vec<String>,
    /// When it was written, Unix time in seconds.
    pub created_at: u64,
    /// Its value.
    pub value: SecretValue,
}

/// Reads secrets (AWS Secrets Manager `GetSecretValue`).
pub trait ReadSecret: Send + Sync + 'static {
    /// Reads one version of the secret of this name.
    fn read(
        &self,
        name: &str,
        version: VersionSelector<'_>,
    ) -> impl Future<Output = Result<SecretVersion, Fault>> + Send;
}

/// Looks for secrets, with or without a value (AWS Secrets Manager `DescribeSecret`).
pub trait FindSecret: Send + Sync + 'static {
    /// Whether there is a secret of this name.
    fn exists(&self, name: &str) -> impl Future<Output = Result<bool, Fault>> + Send;
}

/// Adds versions to secrets (AWS Secrets Manager `PutSecretValue`).
pub trait AppendSecret: Send + Sync + 'static {
    /// Makes `value` the current version, and the current one the previous.
    ///
    /// `token` becomes the version's id (32 to 64 characters). A version of that id with another value is there
    /// already: [`Fault::Conflict`]. So a token that is derived from the versions that the caller saw makes this a
    /// compare-and-swap.
    fn append(&self, name: &str, value: &Secret<String>, token: &str)
    -> impl Future<Output = Result<(), Fault>> + Send;
}
