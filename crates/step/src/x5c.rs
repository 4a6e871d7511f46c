//! The authority behind an X5C provisioner: a root that the CA knows, an intermediate, and the leaf that signs tokens.

use pki::{Certificate, KeyKind};
use protocol::{Random, Secret};

use crate::{KeyError, ProvisionerName, X5cKey};

/// How long a root is valid, in days.
pub const ROOT_DAYS: u32 = 7305;

/// How long an intermediate is valid, in days.
pub const INTERMEDIATE_DAYS: u32 = 3652;

/// How long a leaf is valid, in days, unless its intermediate ends before.
pub const LEAF_DAYS: u32 = 90;

/// What is made once: a root, to be kept offline, and an intermediate that issues leaves.
#[derive(Debug)]
pub struct Authority {
    /// The root's certificate, which the CA is told.
    pub root: Certificate,
    /// The root's private key, PKCS#8 PEM.
    pub root_key: Secret<String>,
    /// The intermediate.
    pub issuer: Issuer,
}

/// An intermediate and its private key.
#[derive(Debug)]
pub struct Issuer {
    certificate: Certificate,
}

/// Makes a root and an intermediate, with keys of this kind.
///
/// # Errors
/// [`KeyError::Pki`].
pub fn new_authority(_kind: KeyKind, _now: u64, _random: &impl Random) -> Result<Authority, KeyError> {
    Err(KeyError::Malformed)
}

impl Authority {
    /// What to add to `authority.provisioners` in the CA's configuration: the root.
    #[must_use]
    pub fn provisioner_json(&self, name: &ProvisionerName) -> serde_json::Value {
        provisioner_json(name, &self.root)
    }
}

/// What to add to `authority.provisioners` in the CA's configuration, for a root.
#[must_use]
pub fn provisioner_json(name: &ProvisionerName, _root: &Certificate) -> serde_json::Value {
    serde_json::json!({ "type": "X5C", "name": name })
}

impl Issuer {
    /// The last part of the name of the secret that holds it; the first is the stack's, as `<stack>/step-ca`.
    pub const SECRET_NAME: &'static str = "x5c-issuer";

    /// Reads `{"key": <PKCS#8 PEM>, "certificate": <PEM>}`.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_json(_json: &str) -> Result<Self, KeyError> {
        Err(KeyError::Malformed)
    }

    /// The JSON that is read above.
    #[must_use]
    pub fn to_json(&self) -> Secret<String> {
        Secret::new(String::new())
    }

    /// The intermediate's certificate.
    #[must_use]
    pub const fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Makes a new key of the intermediate's kind, and its certificate: valid for [`LEAF_DAYS`], and no longer than the intermediate.
    ///
    /// # Errors
    /// [`KeyError::IssuerEnded`], [`KeyError::Pki`].
    pub fn new_leaf(&self, _now: u64, _random: &impl Random) -> Result<X5cKey, KeyError> {
        Err(KeyError::Malformed)
    }
}
