use pki::{Certificate, PublicKey};
use serde::Deserialize;

use crate::{Error, step_ca::StepCaError};

/// The most certificates that are taken from an answer.
const MAX_CERTIFICATES: usize = 8;

/// A certificate that a CA issued, which follows from its root.
///
/// Every signature holds, from the certificate to the root; what signs may sign; every one is valid at the time that was given; key and
/// names are those that were expected. Not checked: name constraints, and lengths of paths above it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The certificate, then what stands above it, without the root.
    chain: Vec<Certificate>,
}

/// What a certificate has to be.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// Of which key.
    pub public_key: &'a PublicKey,
    /// The root that it has to follow from.
    pub root: &'a Certificate,
    /// When, Unix time in seconds.
    pub now: u64,
}

/// The answer to a request for a certificate.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer {
    crt: String,
    ca: Option<String>,
    #[serde(default)]
    cert_chain: Vec<String>,
}

impl Answer {
    /// The certificates, the issued one first.
    pub(super) fn certificates(self) -> Result<Vec<Certificate>, Error> {
        let Self { crt, ca, cert_chain } = self;
        let texts = if cert_chain.is_empty() { [crt].into_iter().chain(ca).collect() } else { cert_chain };
        if texts.len() > MAX_CERTIFICATES {
            return Err(StepCaError::Unusable("it comes with too many others").into());
        }
        let certificates: Result<_, _> = texts.iter().map(|pem| Certificate::from_pem(pem)).collect();
        certificates.map_err(|_| StepCaError::Unusable("it is not a certificate").into())
    }
}

impl Issued {
    /// Checks what came.
    ///
    /// # Errors
    /// [`StepCaError::Unusable`].
    pub fn verify(mut chain: Vec<Certificate>, expected: &Expected<'_>) -> Result<Self, Error> {
        let unusable = |reason| Err(StepCaError::Unusable(reason).into());
        if chain.len() > 1 {
            chain.pop_if(|last| last == expected.root);
        }
        let Some((leaf, above)) = chain.split_first() else { return unusable("there is none") };
        if leaf.public_key().as_ref() != Ok(expected.public_key) {
            return unusable("it is for another key");
        }
        if leaf.is_ca() {
            return unusable("it is a CA's");
        }
        let mut below = leaf;
        for signer in above.iter().chain([expected.root]) {
            if !below.is_signed_by(signer) || !signer.is_ca() {
                return unusable("it does not follow from the CA's root");
            }
            below = signer;
        }
        let is_valid =
            |certificate: &Certificate| (certificate.not_before()..=certificate.not_after()).contains(&expected.now);
        if !chain.iter().chain([expected.root]).all(is_valid) {
            return unusable("it, or what stands above it, is not valid at this time");
        }
        Ok(Self { chain })
    }

    /// The certificate.
    ///
    /// # Panics
    /// Never: there is one.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        self.chain.first().expect("there is a certificate")
    }

    /// The certificate and what stands above it, without the root.
    #[must_use]
    pub fn chain(&self) -> &[Certificate] {
        &self.chain
    }
}
