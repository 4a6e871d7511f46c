use protocol::KeyId;
use serde::Deserialize;

use crate::PublicKey;

/// The issuer's public keys: a JWK Set (RFC 7517 section 5).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeySet(Vec<PublicKey>);

/// What is not a JWK Set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a set of keys: neither a JWK Set nor a list of JWKs")]
pub struct InvalidKeySet;

/// The two forms in which the issuer gives its keys.
#[derive(Deserialize)]
#[serde(untagged)]
enum Form {
    Set { keys: Vec<serde_json::Value> },
    List(Vec<serde_json::Value>),
}

impl KeySet {
    /// Reads `/.well-known/jwks.json`, or the bare list of `/jwks`. Keys of other kinds are ignored (RFC 7517 section 5).
    ///
    /// # Errors
    /// [`InvalidKeySet`].
    pub fn from_json(json: &[u8]) -> Result<Self, InvalidKeySet> {
        let (Form::Set { keys } | Form::List(keys)) = serde_json::from_slice(json).map_err(|_| InvalidKeySet)?;
        Ok(keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect())
    }

    /// The set as `/.well-known/jwks.json` has it.
    ///
    /// # Panics
    /// Never: keys serialize.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(&serde_json::json!({ "keys": self.0 })).expect("keys serialize")
    }

    /// The keys.
    #[must_use]
    pub fn keys(&self) -> &[PublicKey] {
        &self.0
    }

    /// The key of this id.
    #[must_use]
    pub fn find(&self, kid: &KeyId) -> Option<&PublicKey> {
        self.0.iter().find(|key| key.kid() == kid)
    }
}

impl FromIterator<PublicKey> for KeySet {
    fn from_iter<I: IntoIterator<Item = PublicKey>>(keys: I) -> Self {
        Self(keys.into_iter().collect())
    }
}
