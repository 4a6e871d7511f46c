//! A credential: the key pair of one enrolment, and what it signs (OpenSSH's PROTOCOL.u2f; WebAuthn, section 6.3.3).

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsBigEndian, EcPublicKeyUncompressedBin};
use aws_lc_rs::error::{KeyRejected, Unspecified};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, Signature};

/// Why there is no answer. The numbers are those of sk-api.h.
#[derive(Clone, Copy)]
#[repr(i32)]
pub(crate) enum Failure {
    General = -1,
    Unsupported = -2,
}

impl From<Unspecified> for Failure {
    fn from(_: Unspecified) -> Self {
        Self::General
    }
}

impl From<KeyRejected> for Failure {
    fn from(_: KeyRejected) -> Self {
        Self::General
    }
}

pub(crate) enum Credential {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Credential {
    /// A new key pair. `algorithm` is one of sk-api.h: 0 for ECDSA on P-256, 1 for Ed25519.
    pub(crate) fn generate(algorithm: u32) -> Result<Self, Failure> {
        match algorithm {
            0 => Ok(Self::Ecdsa(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?)),
            1 => Ok(Self::Ed25519(Ed25519KeyPair::generate()?)),
            _ => Err(Failure::Unsupported),
        }
    }

    /// The key pair that [`handle`](Self::handle) put away.
    pub(crate) fn from_handle(algorithm: u32, handle: &[u8]) -> Result<Self, Failure> {
        match algorithm {
            0 => Ok(Self::Ecdsa(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, handle)?)),
            1 => Ok(Self::Ed25519(Ed25519KeyPair::from_pkcs8(handle)?)),
            _ => Err(Failure::Unsupported),
        }
    }

    /// The private key in PKCS#8, in the clear: a device would encrypt it, or keep it and name it.
    pub(crate) fn handle(&self) -> Result<Vec<u8>, Failure> {
        let document = match self {
            Self::Ecdsa(pair) => pair.to_pkcs8v1()?,
            Self::Ed25519(pair) => pair.to_pkcs8()?,
        };
        Ok(document.as_ref().to_vec())
    }

    /// An uncompressed point (SEC 1) of P-256, or the 32 bytes of RFC 8032.
    pub(crate) fn public_key(&self) -> Result<Vec<u8>, Failure> {
        match self {
            Self::Ecdsa(pair) => {
                let point: EcPublicKeyUncompressedBin<'_> = pair.public_key().as_be_bytes()?;
                Ok(point.as_ref().to_vec())
            }
            Self::Ed25519(pair) => Ok(pair.public_key().as_ref().to_vec()),
        }
    }

    /// Signs SHA-256(application), flags, counter, SHA-256(message). The signature has 64 bytes: r and s of ECDSA, or
    /// that of RFC 8032.
    pub(crate) fn sign(
        &self,
        application: &[u8],
        flags: u8,
        counter: u32,
        message: &[u8],
    ) -> Result<Signature, Failure> {
        let mut signed = digest(&SHA256, application).as_ref().to_vec();
        signed.push(flags);
        signed.extend(counter.to_be_bytes());
        signed.extend(digest(&SHA256, message).as_ref());
        Ok(match self {
            Self::Ecdsa(pair) => pair.sign(&SystemRandom::new(), &signed)?,
            Self::Ed25519(pair) => pair.try_sign(&signed)?,
        })
    }
}
