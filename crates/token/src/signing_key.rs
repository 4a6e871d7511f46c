use std::fmt;

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use pem_rfc7468::LineEnding;
use protocol::Secret;

use crate::PublicKey;

const PEM_LABEL: &str = "PRIVATE KEY";

/// The issuer's private key for ES256.
pub struct SigningKey {
    pair: EcdsaKeyPair,
    public: PublicKey,
}

/// Not a PKCS#8 PEM of a P-256 key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a PKCS#8 PEM of a P-256 key")]
pub struct InvalidSigningKey;

impl SigningKey {
    /// Makes a new key and returns it as PKCS#8 PEM (RFC 5958, RFC 7468).
    ///
    /// # Panics
    /// Where the operating system provides no entropy.
    #[must_use]
    pub fn generate() -> Secret<String> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING);
        let der = pair.and_then(|pair| pair.to_pkcs8v1()).expect("the operating system provides entropy");
        let pem = pem_rfc7468::encode_string(PEM_LABEL, LineEnding::LF, der.as_ref());
        Secret::new(pem.expect("a PKCS#8 key encodes as PEM"))
    }

    /// Reads a private key from PKCS#8 PEM.
    ///
    /// # Errors
    /// [`InvalidSigningKey`], which does not say what is wrong with the key.
    pub fn from_pem(pem: &str) -> Result<Self, InvalidSigningKey> {
        let (label, der) = pem_rfc7468::decode_vec(pem.as_bytes()).map_err(|_| InvalidSigningKey)?;
        let der = Secret::new(der);
        if label != PEM_LABEL {
            return Err(InvalidSigningKey);
        }
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.expose());
        let pair = pair.map_err(|_| InvalidSigningKey)?;
        let point = pair.public_key().as_ref().try_into().map_err(|_| InvalidSigningKey)?;
        Ok(Self { public: PublicKey::from_point(point).map_err(|_| InvalidSigningKey)?, pair })
    }

    /// The public half.
    #[must_use]
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// r and s, each of 32 bytes.
    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        let signature = self.pair.sign(&SystemRandom::new(), message).expect("the operating system provides entropy");
        signature.as_ref().try_into().expect("r and s have 32 bytes each")
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", self.public.kid()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_key_reads_back_and_signs() {
        let pem = SigningKey::generate();
        let key = SigningKey::from_pem(pem.expose()).unwrap();
        assert!(key.public().verify(b"message", &key.sign(b"message")));
        assert_eq!(format!("{key:?}"), format!("SigningKey {{ kid: {:?}, .. }}", key.public().kid()));
    }

    #[test]
    fn what_is_no_such_key_is_refused() {
        let pem = SigningKey::generate();
        let relabelled = pem.expose().replace("PRIVATE KEY", "EC PRIVATE KEY");
        let cut = pem.expose().replacen("MIG", "MIH", 1);
        for bad in ["", "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n", &relabelled, &cut] {
            assert!(matches!(SigningKey::from_pem(bad), Err(InvalidSigningKey)));
        }
    }
}
