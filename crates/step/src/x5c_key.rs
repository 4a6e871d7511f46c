use std::fmt;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use pki::{Certificate, DeviceKey, JwsAlgorithm};
use protocol::Secret;
use serde::{Deserialize, Serialize};

use crate::{KeyError, MAX_KEY_BYTES, secret_json};

/// The private key of an X5C provisioner, with its certificate and the intermediate that issued it. It signs with ES256 or RS256.
pub struct X5cKey {
    key: DeviceKey,
    algorithm: JwsAlgorithm,
    leaf: Certificate,
    intermediate: Certificate,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Members {
    key: Secret<String>,
    chain: String,
}

impl X5cKey {
    /// Reads `{"key": <PKCS#8 PEM>, "chain": <PEM of leaf, then intermediate>}`.
    ///
    /// Not checked: times, and which root the intermediate is below.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_json(json: &str) -> Result<Self, KeyError> {
        if json.len() > MAX_KEY_BYTES {
            return Err(KeyError::Oversized);
        }
        let Members { key, chain } = secret_json::read(json).ok_or(KeyError::Malformed)?;
        let chain = Certificate::chain_from_pem(&chain)?;
        let [leaf, intermediate] = <[_; 2]>::try_from(chain).map_err(|_| KeyError::MalformedChain)?;
        Self::new(DeviceKey::from_pem(key.expose())?, leaf, intermediate)
    }

    pub(crate) fn new(key: DeviceKey, leaf: Certificate, intermediate: Certificate) -> Result<Self, KeyError> {
        // A root in its place would be sent with each token, and be of no use.
        if !leaf.is_signed_by(&intermediate) || !intermediate.is_ca() || intermediate.is_signed_by(&intermediate) {
            return Err(KeyError::MalformedChain);
        }
        if !leaf.signs_tokens() {
            return Err(KeyError::UnfitCertificate);
        }
        if leaf.public_key()? != key.public_key() {
            return Err(KeyError::KeyMismatch);
        }
        let algorithm = key.jws_algorithm().ok_or(KeyError::UnacceptedKey)?;
        Ok(Self { key, algorithm, leaf, intermediate })
    }

    /// The JSON that is read above.
    #[must_use]
    pub fn to_json(&self) -> Secret<String> {
        let chain = self.leaf.to_pem() + &self.intermediate.to_pem();
        secret_json::write(&Members { key: self.key.to_pem(), chain })
    }

    /// The certificate whose key signs.
    #[must_use]
    pub const fn leaf(&self) -> &Certificate {
        &self.leaf
    }

    /// The intermediate that issued it.
    #[must_use]
    pub const fn intermediate(&self) -> &Certificate {
        &self.intermediate
    }

    /// What stays when a leaf is followed by the next: the SHA-256 of the intermediate's DER, in lower-case hex.
    #[must_use]
    pub fn known_as(&self) -> String {
        self.intermediate.id().to_string()
    }

    /// Whether a CA takes its tokens at a time, in Unix seconds: leaf and intermediate are valid then.
    #[must_use]
    pub fn is_valid_at(&self, now: u64) -> bool {
        self.leaf.is_valid_at(now) && self.intermediate.is_valid_at(now)
    }

    pub(crate) const fn algorithm(&self) -> JwsAlgorithm {
        self.algorithm
    }

    /// The certificates as a header has them (RFC 7515 section 4.1.6): base64 with padding, the leaf first.
    pub(crate) fn header(&self) -> [String; 2] {
        [&self.leaf, &self.intermediate].map(|certificate| BASE64_STANDARD.encode(certificate.der()))
    }

    #[cfg(test)]
    pub(crate) fn key_pem(&self) -> Secret<String> {
        self.key.to_pem()
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        Ok(self.key.sign_jws(message)?)
    }
}

impl fmt::Debug for X5cKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("X5cKey").field("leaf", &self.leaf).finish_non_exhaustive()
    }
}
