use pki::Certificate;
use protocol::Secret;

use crate::KeyError;

/// The private key of an X5C provisioner, with its certificate and the intermediate that issued it. It signs with ES256 or RS256.
#[derive(Debug)]
pub struct X5cKey {
    leaf: Certificate,
    intermediate: Certificate,
}

impl X5cKey {
    /// Reads `{"key": <PKCS#8 PEM>, "chain": <PEM of leaf, then intermediate>}`.
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
}
