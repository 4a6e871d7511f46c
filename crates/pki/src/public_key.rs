use std::ops::RangeInclusive;

use aws_lc_rs::{
    digest::{SHA1_FOR_LEGACY_USE_ONLY, digest},
    signature::{
        ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P256_SHA512_ASN1, ECDSA_P384_SHA256_ASN1,
        ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA512_ASN1, ECDSA_P521_SHA256_ASN1, ECDSA_P521_SHA384_ASN1,
        ECDSA_P521_SHA512_ASN1, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
        RSA_PKCS1_2048_8192_SHA512, UnparsedPublicKey, VerificationAlgorithm,
    },
};
use x509_cert::{
    AlgorithmIdentifier, SubjectPublicKeyInfo,
    der::{
        Any, AnyRef, Decode as _, Reader as _,
        asn1::{BitString, UintRef},
        oid::{
            ObjectIdentifier,
            db::rfc5912::{
                ECDSA_WITH_SHA_256, ECDSA_WITH_SHA_384, ECDSA_WITH_SHA_512, ID_EC_PUBLIC_KEY, RSA_ENCRYPTION,
                SECP_256_R_1, SECP_384_R_1, SECP_521_R_1, SHA_256_WITH_RSA_ENCRYPTION, SHA_384_WITH_RSA_ENCRYPTION,
                SHA_512_WITH_RSA_ENCRYPTION,
            },
        },
    },
};

use crate::{PkiError, encoding::der, pem};

const PEM_LABEL: &str = "PUBLIC KEY";

/// The lengths of RSA keys, in bits of the modulus. A device's are bounded further, since each verification costs.
const DEVICE_RSA_BITS: RangeInclusive<usize> = 2048..=4096;
const AUTHORITY_RSA_BITS: RangeInclusive<usize> = 2048..=8192;

/// 65537, the one exponent in use (FIPS 186-5 section 5.1 forbids smaller ones).
const RSA_EXPONENT: [u8; 3] = [1, 0, 1];

/// A device's public key: ECDSA over P-256 or P-384, or RSA of 2048 to 4096 bits with the exponent 65537.
///
/// The point is on the curve, in uncompressed form, and the curve is named. Not checked: that the modulus is a product
/// of two good primes, which its owner alone can know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    kind: Kind,
    /// The content of the BIT STRING: the point, or RSAPublicKey (RFC 8017 appendix A.1.1).
    key: Vec<u8>,
    spki: Vec<u8>,
}

/// What a key signs with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    P256,
    P384,
    P521,
    Rsa,
}

impl PublicKey {
    /// Reads a device's key.
    pub(crate) fn of_device(spki: &SubjectPublicKeyInfo) -> Result<Self, PkiError> {
        let key = Self::of_authority(spki)?;
        if key.is_for_device() { Ok(key) } else { Err(PkiError::UnacceptedKey) }
    }

    /// Reads the key of an authority, which may be a P-521 one, or RSA of up to 8192 bits.
    pub(crate) fn of_authority(spki: &SubjectPublicKeyInfo) -> Result<Self, PkiError> {
        let key = spki.subject_public_key.as_bytes().ok_or(PkiError::MalformedKey)?;
        let parameters = spki.algorithm.parameters.as_ref();
        let kind = match spki.algorithm.oid {
            ID_EC_PUBLIC_KEY => {
                let curve = parameters.and_then(|curve| curve.decode_as::<ObjectIdentifier>().ok());
                let (kind, size) = match curve.ok_or(PkiError::UnacceptedKey)? {
                    SECP_256_R_1 => (Kind::P256, 32),
                    SECP_384_R_1 => (Kind::P384, 48),
                    SECP_521_R_1 => (Kind::P521, 66),
                    _ => return Err(PkiError::UnacceptedKey),
                };
                // SEC 1 section 2.3.3: 4, x, y.
                if key.first() != Some(&4) || key.len() != 1 + 2 * size {
                    return Err(PkiError::UnacceptedKey);
                }
                kind
            }
            RSA_ENCRYPTION => {
                let (modulus, exponent) = rsa(key).ok_or(PkiError::MalformedKey)?;
                if !parameters.is_some_and(Any::is_null) {
                    return Err(PkiError::MalformedKey);
                }
                if !AUTHORITY_RSA_BITS.contains(&bits(modulus)) || exponent != RSA_EXPONENT {
                    return Err(PkiError::UnacceptedKey);
                }
                Kind::Rsa
            }
            _ => return Err(PkiError::UnacceptedKey),
        };
        ParsedPublicKey::new(kind.own_verification(), key).map_err(|_| PkiError::MalformedKey)?;
        Ok(Self { kind, key: key.to_vec(), spki: der(spki) })
    }

    /// SubjectPublicKeyInfo as PEM (RFC 7468 section 13).
    #[must_use]
    pub fn to_pem(&self) -> String {
        pem::encode(PEM_LABEL, &self.spki)
    }

    /// Whether it is an RSA key.
    #[must_use]
    pub fn is_rsa(&self) -> bool {
        self.kind == Kind::Rsa
    }

    /// Its kind in words: `ECDSA P-256`, `RSA 2048`.
    #[must_use]
    pub fn kind_text(&self) -> String {
        match self.kind {
            Kind::P256 => "ECDSA P-256".into(),
            Kind::P384 => "ECDSA P-384".into(),
            Kind::P521 => "ECDSA P-521".into(),
            Kind::Rsa => format!("RSA {}", rsa(&self.key).map_or(0, |(modulus, _)| bits(modulus))),
        }
    }

    /// Whether a device may have it.
    pub(crate) fn is_for_device(&self) -> bool {
        match self.kind {
            Kind::P256 | Kind::P384 => true,
            Kind::P521 => false,
            Kind::Rsa => rsa(&self.key).is_some_and(|(modulus, _)| DEVICE_RSA_BITS.contains(&bits(modulus))),
        }
    }

    pub(crate) const fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn as_der(&self) -> &[u8] {
        &self.spki
    }

    /// The key's identifier by method 1 of RFC 5280 section 4.2.1.2.
    ///
    /// SHA-1, although RFC 7093 offers better: it is what OpenSSL and AWS Private CA give the same key, so an
    /// authority's certificate without an identifier, or one that was issued anew elsewhere, is found under it. It
    /// names a key and proves nothing, so collisions gain nobody anything.
    pub(crate) fn identifier(&self) -> Vec<u8> {
        digest(&SHA1_FOR_LEGACY_USE_ONLY, &self.key).as_ref().to_vec()
    }

    /// Verifies a signature (RFC 5280 section 4.1.1.3) by SHA-256, SHA-384 or SHA-512.
    pub(crate) fn verify(
        &self,
        algorithm: &AlgorithmIdentifier,
        message: &[u8],
        signature: &BitString,
    ) -> Result<(), PkiError> {
        let verification = self.kind.verification(algorithm).ok_or(PkiError::UnacceptedSignature)?;
        let signature = signature.as_bytes().ok_or(PkiError::WrongSignature)?;
        let key = UnparsedPublicKey::new(verification, &self.key);
        key.verify(message, signature).map_err(|_| PkiError::WrongSignature)
    }
}

impl Kind {
    /// Parameters are NULL with RSA (RFC 4055 section 5) and absent with ECDSA (RFC 5758 section 3.2).
    fn verification(self, algorithm: &AlgorithmIdentifier) -> Option<&'static dyn VerificationAlgorithm> {
        let is_expected = match &algorithm.parameters {
            Some(parameters) => self == Self::Rsa && parameters.is_null(),
            None => self != Self::Rsa,
        };
        let verification: &'static dyn VerificationAlgorithm = match (self, algorithm.oid) {
            (Self::P256, ECDSA_WITH_SHA_256) => &ECDSA_P256_SHA256_ASN1,
            (Self::P256, ECDSA_WITH_SHA_384) => &ECDSA_P256_SHA384_ASN1,
            (Self::P256, ECDSA_WITH_SHA_512) => &ECDSA_P256_SHA512_ASN1,
            (Self::P384, ECDSA_WITH_SHA_256) => &ECDSA_P384_SHA256_ASN1,
            (Self::P384, ECDSA_WITH_SHA_384) => &ECDSA_P384_SHA384_ASN1,
            (Self::P384, ECDSA_WITH_SHA_512) => &ECDSA_P384_SHA512_ASN1,
            (Self::P521, ECDSA_WITH_SHA_256) => &ECDSA_P521_SHA256_ASN1,
            (Self::P521, ECDSA_WITH_SHA_384) => &ECDSA_P521_SHA384_ASN1,
            (Self::P521, ECDSA_WITH_SHA_512) => &ECDSA_P521_SHA512_ASN1,
            (Self::Rsa, SHA_256_WITH_RSA_ENCRYPTION) => &RSA_PKCS1_2048_8192_SHA256,
            (Self::Rsa, SHA_384_WITH_RSA_ENCRYPTION) => &RSA_PKCS1_2048_8192_SHA384,
            (Self::Rsa, SHA_512_WITH_RSA_ENCRYPTION) => &RSA_PKCS1_2048_8192_SHA512,
            _ => return None,
        };
        is_expected.then_some(verification)
    }

    fn own_verification(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_ASN1,
            Self::P384 => &ECDSA_P384_SHA384_ASN1,
            Self::P521 => &ECDSA_P521_SHA512_ASN1,
            Self::Rsa => &RSA_PKCS1_2048_8192_SHA256,
        }
    }

    /// What it signs with: the hash that is as long as the curve.
    pub(crate) fn signature_algorithm(self) -> AlgorithmIdentifier {
        let (oid, parameters) = match self {
            Self::P256 => (ECDSA_WITH_SHA_256, None),
            Self::P384 => (ECDSA_WITH_SHA_384, None),
            Self::P521 => (ECDSA_WITH_SHA_512, None),
            Self::Rsa => (SHA_256_WITH_RSA_ENCRYPTION, Some(Any::null())),
        };
        AlgorithmIdentifier { oid, parameters }
    }
}

/// Modulus and exponent, without leading zeros.
fn rsa(key: &[u8]) -> Option<(&[u8], &[u8])> {
    let numbers = AnyRef::from_der(key).ok()?.sequence(|reader| {
        let (modulus, exponent): (UintRef<'_>, UintRef<'_>) = (reader.decode()?, reader.decode()?);
        Ok::<_, x509_cert::der::Error>((modulus.as_bytes(), exponent.as_bytes()))
    });
    numbers.ok()
}

fn bits(modulus: &[u8]) -> usize {
    modulus.first().map_or(0, |byte| 8 * modulus.len() - byte.leading_zeros() as usize)
}
