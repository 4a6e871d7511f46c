use protocol::Secret;

use crate::{JwkKey, KeyError, ProvisionerKind, X5cKey};

/// A provisioner's private key.
#[derive(Debug)]
pub enum ProvisionerKey {
    /// Of a JWK provisioner.
    Jwk(JwkKey),
    /// Of an X5C provisioner.
    X5c(Box<X5cKey>),
}

impl ProvisionerKey {
    /// The last part of the name of the secret that holds keys of a kind; the first is the stack's, as `<stack>/step-ca`.
    #[must_use]
    pub const fn secret_name(kind: ProvisionerKind) -> &'static str {
        match kind {
            ProvisionerKind::Jwk => "jwk",
            ProvisionerKind::X5c => "x5c",
        }
    }

    /// Reads what the secret holds.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_json(kind: ProvisionerKind, json: &str) -> Result<Self, KeyError> {
        match kind {
            ProvisionerKind::Jwk => JwkKey::from_json(json).map(Self::Jwk),
            ProvisionerKind::X5c => X5cKey::from_json(json).map(Box::new).map(Self::X5c),
        }
    }

    /// What the secret is to hold.
    #[must_use]
    pub fn to_json(&self) -> Secret<String> {
        match self {
            Self::Jwk(key) => key.to_json(),
            Self::X5c(key) => key.to_json(),
        }
    }

    /// The type of its provisioner.
    #[must_use]
    pub const fn kind(&self) -> ProvisionerKind {
        match self {
            Self::Jwk(_) => ProvisionerKind::Jwk,
            Self::X5c(_) => ProvisionerKind::X5c,
        }
    }

    /// What the ledger and the audit name it by: the `kid` of a JWK, the serial number in hex of an X5C's leaf.
    #[must_use]
    pub fn id(&self) -> String {
        match self {
            Self::Jwk(key) => key.kid().to_owned(),
            Self::X5c(key) => key.leaf().serial(),
        }
    }

    /// What its provisioner knows it as: the `kid` of a JWK, [`X5cKey::known_as`].
    #[must_use]
    pub fn known_as(&self) -> String {
        match self {
            Self::Jwk(key) => key.kid().to_owned(),
            Self::X5c(key) => key.known_as(),
        }
    }

    /// Whether a CA takes its tokens at a time, in Unix seconds.
    #[must_use]
    pub fn signs_at(&self, now: u64) -> bool {
        match self {
            Self::Jwk(_) => true,
            Self::X5c(key) => key.is_valid_at(now),
        }
    }
}
