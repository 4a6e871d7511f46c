use std::fmt;

use pki::{Certificate, DeviceKey, PkiError, PublicKey};
use protocol::Secret;

use crate::{Error, step_ca::StepCaError};

/// A private key and its certificate, with which a client shows the CA who it is.
pub struct Identity {
    key: DeviceKey,
    /// The certificate, then what stands above it, without the root.
    chain: Vec<Certificate>,
}

impl Identity {
    /// A key and its certificate, after which may come what stands above it.
    ///
    /// # Errors
    /// [`StepCaError::Identity`] where the first certificate is not this key's.
    pub fn new(key: DeviceKey, chain: Vec<Certificate>) -> Result<Self, Error> {
        let public_key = chain.first().ok_or(PkiError::MalformedCertificate).and_then(Certificate::public_key);
        let is_of_key = public_key.map_err(StepCaError::Identity)? == key.public_key();
        if is_of_key { Ok(Self { key, chain }) } else { Err(StepCaError::Identity(PkiError::KeyMismatch).into()) }
    }

    /// The certificate.
    ///
    /// # Panics
    /// Never: there is one.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        self.chain.first().expect("there is a certificate")
    }

    /// The certificate, and what stands above it.
    #[must_use]
    pub fn chain(&self) -> &[Certificate] {
        &self.chain
    }

    /// The public half of the key.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.key.public_key()
    }

    pub(super) fn to_tls(&self) -> Result<reqwest::Identity, Error> {
        let mut pem = String::new();
        // With room for all of it, so that no copy of the key is left behind.
        pem.reserve_exact(64 * 1024);
        pem.extend(self.chain.iter().map(Certificate::to_pem));
        pem.push_str(self.key.to_pem().expose());
        let pem = Secret::new(pem);
        Ok(reqwest::Identity::from_pem(pem.expose().as_bytes()).map_err(StepCaError::NoTlsIdentity)?)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("chain", &self.chain).finish_non_exhaustive()
    }
}
