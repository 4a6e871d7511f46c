use std::fmt;

use protocol::Secret;

use crate::{Csr, PkiError, PublicKey, Subject, signing_key::SigningKey};

/// The kinds of key that are made here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA over P-256: made in microseconds.
    EcdsaP256,
    /// RSA of 2048 bits, for devices that know nothing else: made in about a tenth of a second.
    Rsa2048,
}

/// A device's private key.
pub struct DeviceKey(SigningKey);

impl DeviceKey {
    /// Makes a key. Its randomness is AWS-LC's own.
    ///
    /// # Errors
    /// [`PkiError::Cryptography`].
    pub fn generate(kind: KeyKind) -> Result<Self, PkiError> {
        SigningKey::generate(kind).map(Self)
    }

    /// Reads an unencrypted key from PKCS#8, PKCS#1 or SEC 1 PEM, of a kind that [`PublicKey`] accepts.
    ///
    /// # Errors
    /// [`PkiError::MalformedPem`] and others of PEM, [`PkiError::EncryptedKey`], [`PkiError::MalformedKey`],
    /// [`PkiError::UnacceptedKey`].
    pub fn from_pem(pem: &str) -> Result<Self, PkiError> {
        let key = SigningKey::from_pem(pem)?;
        if key.public().is_for_device() { Ok(Self(key)) } else { Err(PkiError::UnacceptedKey) }
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.0.public().clone()
    }

    /// The private key as PKCS#8 PEM (RFC 5958, RFC 7468).
    #[must_use]
    pub fn to_pem(&self) -> Secret<String> {
        self.0.to_pem()
    }

    /// Makes a request without attributes for a certificate of this key (RFC 2986).
    ///
    /// # Errors
    /// [`PkiError::Cryptography`].
    pub fn csr(&self, subject: &Subject) -> Result<Csr, PkiError> {
        Csr::sign(&self.0, subject)
    }
}

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[elided]")
    }
}
