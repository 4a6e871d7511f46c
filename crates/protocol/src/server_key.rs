use std::fmt;

use aws_lc_rs::{
    digest::{SHA256, digest},
    encoding::{AsDer, Pkcs8V1Der},
    rsa::{self, KeyPair, OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, PrivateDecryptingKey},
    signature::KeyPair as _,
};
use pem_rfc7468::LineEnding;

use crate::{
    jwk::Jwk,
    random::{Random as _, SystemRandom, array},
    secret::{Key256, Secret},
};

const PEM_LABEL: &str = "PRIVATE KEY";

/// The length of the text that v1 clients draw.
const STAND_IN_TEXT: usize = 16;

/// The broker's RSA key pair: opens what was encrypted to its [`Jwk`].
pub struct ServerKey {
    private: OaepPrivateDecryptingKey,
    public: Jwk,
}

/// Modulus length of a new server key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySize {
    /// 2048 bits.
    Rsa2048,
    /// 3072 bits, the default.
    Rsa3072,
    /// 4096 bits.
    Rsa4096,
}

/// Not a PKCS#8 PEM of an RSA key of 2048 bits or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a PKCS#8 PEM of an RSA key of 2048 bits or more")]
pub struct InvalidKey;

impl TryFrom<u32> for KeySize {
    type Error = InvalidKey;

    fn try_from(bits: u32) -> Result<Self, InvalidKey> {
        match bits {
            2048 => Ok(Self::Rsa2048),
            3072 => Ok(Self::Rsa3072),
            4096 => Ok(Self::Rsa4096),
            _ => Err(InvalidKey),
        }
    }
}

impl ServerKey {
    /// Makes a new key pair and returns its private key as PKCS#8 PEM (RFC 5958, RFC 7468).
    ///
    /// # Panics
    /// Where the operating system provides no entropy.
    #[must_use]
    pub fn generate(size: KeySize) -> Secret<String> {
        let size = match size {
            KeySize::Rsa2048 => rsa::KeySize::Rsa2048,
            KeySize::Rsa3072 => rsa::KeySize::Rsa3072,
            KeySize::Rsa4096 => rsa::KeySize::Rsa4096,
        };
        let key = PrivateDecryptingKey::generate(size).expect("the operating system provides entropy");
        let der: Pkcs8V1Der<'_> = key.as_der().expect("a fresh RSA key encodes");
        let pem = pem_rfc7468::encode_string(PEM_LABEL, LineEnding::LF, der.as_ref());
        Secret::new(pem.expect("a PKCS#8 key encodes as PEM"))
    }

    /// Reads a private key from PKCS#8 PEM.
    ///
    /// # Errors
    /// [`InvalidKey`], which does not say what is wrong with the key.
    pub fn from_pem(pem: &str) -> Result<Self, InvalidKey> {
        let (label, der) = pem_rfc7468::decode_vec(pem.as_bytes()).map_err(|_| InvalidKey)?;
        let der = Secret::new(der);
        if label != PEM_LABEL {
            return Err(InvalidKey);
        }
        let pair = KeyPair::from_pkcs8(der.expose()).map_err(|_| InvalidKey)?;
        let public = pair.public_key();
        let public = Jwk::new(
            public.modulus().big_endian_without_leading_zero(),
            public.exponent().big_endian_without_leading_zero(),
        );
        let private = PrivateDecryptingKey::from_pkcs8(der.expose()).map_err(|_| InvalidKey)?;
        Ok(Self { private: OaepPrivateDecryptingKey::new(private).map_err(|_| InvalidKey)?, public })
    }

    /// The public half.
    #[must_use]
    pub const fn public(&self) -> &Jwk {
        &self.public
    }

    /// Unwraps a content encryption key by RSA-OAEP-256.
    ///
    /// What does not unwrap to 256 bits gives a random key (RFC 7516 section 11.5), so that a caller sees the same
    /// failure, one step later, as for a ciphertext that was altered.
    pub(crate) fn unwrap_key(&self, encrypted_key: &[u8]) -> Key256 {
        let mut key = Secret::new(array::<32>(&SystemRandom));
        let mut plaintext = Secret::new(vec![0; self.private.min_output_size()]);
        if let Ok(found) = self.private.decrypt(&OAEP_SHA256_MGF1SHA256, encrypted_key, plaintext.expose_mut(), None)
            && found.len() == key.expose().len()
        {
            key.expose_mut().copy_from_slice(found);
        }
        key
    }

    /// Unwraps a v1 client's text by RSA-OAEP (SHA-1) and gives the SHA-256 of it; `None` where it does not unwrap.
    ///
    /// One private operation is done for a ciphertext of any length. Not for one whose number is not below the modulus:
    /// both are public.
    pub(crate) fn unwrap_text(&self, encrypted_text: &[u8]) -> Option<Key256> {
        let size = self.private.key_size_bytes();
        let mut stand_in = vec![0; size];
        SystemRandom.fill(&mut stand_in[1..]);
        let encrypted_text = if encrypted_text.len() == size { encrypted_text } else { &stand_in };
        let mut text = Secret::new(vec![0; self.private.min_output_size()]);
        let found = self.private.decrypt(&OAEP_SHA1_MGF1SHA1, encrypted_text, text.expose_mut(), None);
        let length = found.as_ref().map(|text| text.len()).ok();
        let key = digest(&SHA256, &text.expose()[..length.unwrap_or(STAND_IN_TEXT)]);
        length.map(|_| Secret::new(key.as_ref().try_into().expect("SHA-256 is 32 bytes")))
    }
}

impl fmt::Debug for ServerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerKey").field("kid", self.public.kid()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_key_reads_back() {
        let pem = ServerKey::generate(KeySize::Rsa2048);
        assert!(pem.expose().starts_with("-----BEGIN PRIVATE KEY-----\n"));
        let key = ServerKey::from_pem(pem.expose()).unwrap();
        assert_eq!(format!("{key:?}"), format!("ServerKey {{ kid: KeyId(\"{}\"), .. }}", key.public().kid()));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let pem = ServerKey::generate(KeySize::Rsa2048);
        let relabelled = pem.expose().replace("PRIVATE KEY", "RSA PRIVATE KEY");
        let cut = pem.expose().replacen("MII", "MIJ", 1);
        for bad in ["", "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n", &relabelled, &cut] {
            assert!(matches!(ServerKey::from_pem(bad), Err(InvalidKey)));
        }
    }

    #[test]
    fn what_does_not_unwrap_gives_another_key_each_time() {
        let key = ServerKey::from_pem(ServerKey::generate(KeySize::Rsa2048).expose()).unwrap();
        let garbage = [7; 256];
        assert_ne!(key.unwrap_key(&garbage).expose(), key.unwrap_key(&garbage).expose());
        assert_ne!(key.unwrap_key(&[]).expose(), key.unwrap_key(&[]).expose());
    }
}
