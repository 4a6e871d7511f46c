use std::fmt;

use protocol::{AltName, Secret};

use crate::{Csr, JwsAlgorithm, NamedRequest, PkiError, PublicKey, Subject, signing_key::SigningKey};

/// The kinds of key that are made here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA over P-256: made in microseconds.
    EcdsaP256,
    /// RSA of 2048 bits, for devices that know nothing else: made in about a tenth of a second.
    Rsa2048,
    /// RSA of 4096 bits, for those whose rules demand it: made in about a second.
    Rsa4096,
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

    /// Makes a request for a certificate of this key with names beside the subject's (RFC 2986, RFC 2985 section 5.4.2), which a step-ca
    /// takes and we don't. Without names it asks for no extension.
    ///
    /// # Errors
    /// [`PkiError::Cryptography`].
    pub fn csr_with_alt_names(&self, subject: &Subject, names: &[AltName]) -> Result<NamedRequest, PkiError> {
        NamedRequest::sign(&self.0, subject, names)
    }

    /// The algorithm by which the key signs a JWS; `None` for P-384.
    #[must_use]
    pub fn jws_algorithm(&self) -> Option<JwsAlgorithm> {
        self.0.jws_algorithm()
    }

    /// Signs the input of a JWS (RFC 7515 section 5.1): for ES256 r and s of 32 bytes each (RFC 7518 section 3.4).
    ///
    /// # Errors
    /// [`PkiError::UnacceptedKey`] where there is no [`DeviceKey::jws_algorithm`], [`PkiError::Cryptography`].
    pub fn sign_jws(&self, message: &[u8]) -> Result<Vec<u8>, PkiError> {
        self.0.sign_jws(message)
    }
}

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[elided]")
    }
}
