use std::fmt;

use aws_lc_rs::{
    encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der},
    rand::SystemRandom,
    rsa,
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair,
        EcdsaSigningAlgorithm, KeyPair as _, RSA_PKCS1_SHA256,
    },
};
use pem_rfc7468::LineEnding;
use protocol::Secret;
use x509_cert::{AlgorithmIdentifier, SubjectPublicKeyInfo, der::Decode as _};

use crate::{JwsAlgorithm, KeyKind, MAX_PEM_BYTES, PkiError, PublicKey, jws, pem, public_key::Kind};

const PKCS8_LABEL: &str = "PRIVATE KEY";
const PKCS1_LABEL: &str = "RSA PRIVATE KEY";
const SEC1_LABEL: &str = "EC PRIVATE KEY";

/// `openssl ecparam -genkey` names the curve in a block of its own before the key, which names it again.
const SEC1_PARAMETERS_LABEL: &str = "EC PARAMETERS";
const ENCRYPTED_LABEL: &str = "ENCRYPTED PRIVATE KEY";

const CURVES: [&EcdsaSigningAlgorithm; 3] =
    [&ECDSA_P256_SHA256_ASN1_SIGNING, &ECDSA_P384_SHA384_ASN1_SIGNING, &ECDSA_P521_SHA512_ASN1_SIGNING];

/// A private key that signs certificates or requests: RSA of 2048 to 8192 bits, P-256, P-384 or P-521.
pub(crate) struct SigningKey {
    pair: Pair,
    public: PublicKey,
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Rsa(rsa::KeyPair),
}

impl SigningKey {
    pub(crate) fn generate(kind: KeyKind) -> Result<Self, PkiError> {
        let pair = match kind {
            KeyKind::EcdsaP256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map(Pair::Ecdsa),
            KeyKind::Rsa2048 => rsa::KeyPair::generate(rsa::KeySize::Rsa2048).map(Pair::Rsa),
            KeyKind::Rsa4096 => rsa::KeyPair::generate(rsa::KeySize::Rsa4096).map(Pair::Rsa),
        };
        Self::new(pair.map_err(|_| PkiError::Cryptography)?)
    }

    /// Reads PKCS#8 (RFC 5958), PKCS#1 (RFC 8017) or SEC 1 (RFC 5915), told apart by the label alone.
    pub(crate) fn from_pem(text: &str) -> Result<Self, PkiError> {
        let blocks = pem::blocks(text, MAX_PEM_BYTES)?;
        let block = match blocks.as_slice() {
            [block] => block,
            [parameters, block] if parameters.label == SEC1_PARAMETERS_LABEL && block.label == SEC1_LABEL => block,
            [] => return Err(PkiError::MalformedPem),
            _ => return Err(PkiError::SeveralBlocks),
        };
        if block.label == ENCRYPTED_LABEL || block.is_encrypted() {
            return Err(PkiError::EncryptedKey);
        }
        let der = block.decode()?;
        let der = der.expose();
        let pair = match block.label {
            PKCS8_LABEL => {
                let mut curves = CURVES.iter().map(|curve| EcdsaKeyPair::from_pkcs8(curve, der));
                let ecdsa = curves.find_map(Result::ok).map(Pair::Ecdsa);
                ecdsa.or_else(|| rsa::KeyPair::from_pkcs8(der).ok().map(Pair::Rsa))
            }
            PKCS1_LABEL => rsa::KeyPair::from_der(der).ok().map(Pair::Rsa),
            SEC1_LABEL => {
                let mut curves = CURVES.iter().map(|curve| EcdsaKeyPair::from_private_key_der(curve, der));
                curves.find_map(Result::ok).map(Pair::Ecdsa)
            }
            _ => return Err(PkiError::WrongLabel),
        };
        Self::new(pair.ok_or(PkiError::MalformedKey)?)
    }

    fn new(pair: Pair) -> Result<Self, PkiError> {
        let spki: Result<PublicKeyX509Der<'_>, _> = match &pair {
            Pair::Ecdsa(pair) => pair.public_key().as_der(),
            Pair::Rsa(pair) => pair.public_key().as_der(),
        };
        let spki = spki.map_err(|_| PkiError::Cryptography)?;
        let spki = SubjectPublicKeyInfo::from_der(spki.as_ref()).map_err(|_| PkiError::Cryptography)?;
        Ok(Self { pair, public: PublicKey::of_authority(&spki)? })
    }

    pub(crate) const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// PKCS#8, of any of the forms that it was read from.
    pub(crate) fn to_pem(&self) -> Secret<String> {
        let encode = |der: &[u8]| pem_rfc7468::encode_string(PKCS8_LABEL, LineEnding::LF, der);
        let pem = match &self.pair {
            Pair::Ecdsa(pair) => encode(pair.to_pkcs8v1().expect("a key pair in memory encodes").as_ref()),
            Pair::Rsa(pair) => {
                let der: Pkcs8V1Der<'_> = pair.as_der().expect("a key pair in memory encodes");
                encode(der.as_ref())
            }
        };
        Secret::new(pem.expect("a PKCS#8 key encodes as PEM"))
    }

    pub(crate) fn algorithm(&self) -> AlgorithmIdentifier {
        self.public.kind().signature_algorithm()
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, PkiError> {
        let random = SystemRandom::new();
        let signature = match &self.pair {
            Pair::Ecdsa(pair) => pair.sign(&random, message).map(|signature| signature.as_ref().to_vec()),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map(|()| signature)
            }
        };
        signature.map_err(|_| PkiError::Cryptography)
    }

    /// The algorithm by which it signs a JWS; `None` for curves that no token here is signed on.
    pub(crate) fn jws_algorithm(&self) -> Option<JwsAlgorithm> {
        match self.public.kind() {
            Kind::P256 => Some(JwsAlgorithm::Es256),
            Kind::Rsa => Some(JwsAlgorithm::Rs256),
            Kind::P384 | Kind::P521 => None,
        }
    }

    pub(crate) fn sign_jws(&self, message: &[u8]) -> Result<Vec<u8>, PkiError> {
        let algorithm = self.jws_algorithm().ok_or(PkiError::UnacceptedKey)?;
        let signature = self.sign(message)?;
        match algorithm {
            JwsAlgorithm::Es256 => jws::fixed(&signature).map(Vec::from).ok_or(PkiError::Cryptography),
            JwsAlgorithm::Rs256 => Ok(signature),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[elided]")
    }
}
