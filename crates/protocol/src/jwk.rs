use aws_lc_rs::{
    digest::{SHA256, digest},
    encoding::{AsDer as _, PublicKeyX509Der},
    rsa::{OaepPublicEncryptingKey, PublicEncryptingKey, PublicKeyComponents},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use pem_rfc7468::LineEnding;
use serde::{Deserialize, Serialize};

use crate::{error::ClientError, name::KeyId};

/// An RSA public key for `RSA-OAEP-256` as a JSON Web Key (RFC 7517, RFC 7518 section 6.3.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Jwk {
    kty: KeyType,
    #[serde(rename = "use")]
    usage: Usage,
    alg: Algorithm,
    /// The RFC 7638 thumbprint of this key.
    kid: KeyId,
    /// Modulus, base64url.
    n: String,
    /// Exponent, base64url.
    e: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
enum KeyType {
    #[serde(rename = "RSA")]
    Rsa,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
enum Usage {
    #[serde(rename = "enc")]
    Encryption,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
enum Algorithm {
    #[serde(rename = "RSA-OAEP-256")]
    RsaOaep256,
}

impl Jwk {
    /// From modulus and exponent, big-endian without leading zeros.
    pub(crate) fn new(modulus: &[u8], exponent: &[u8]) -> Self {
        let [n, e] = [modulus, exponent].map(|number| BASE64_URL_SAFE_NO_PAD.encode(number));
        Self { kid: thumbprint(&n, &e), kty: KeyType::Rsa, usage: Usage::Encryption, alg: Algorithm::RsaOaep256, n, e }
    }

    /// The key's id.
    #[must_use]
    pub const fn kid(&self) -> &KeyId {
        &self.kid
    }

    /// The key as `SubjectPublicKeyInfo` in PEM (RFC 5280 section 4.1, RFC 7468 section 13): lines of 64 characters.
    ///
    /// # Errors
    /// [`ClientError::InvalidServerKey`] where the members are not a key, or `kid` is not its thumbprint.
    pub fn to_pem(&self) -> Result<String, ClientError> {
        let der: PublicKeyX509Der<'_> = self.public_key()?.as_der().map_err(|_| ClientError::InvalidServerKey)?;
        pem_rfc7468::encode_string("PUBLIC KEY", LineEnding::LF, der.as_ref())
            .map_err(|_| ClientError::InvalidServerKey)
    }

    /// The key for encrypting, after its `kid` was found to be its thumbprint.
    pub(crate) fn encrypting_key(&self) -> Result<OaepPublicEncryptingKey, ClientError> {
        OaepPublicEncryptingKey::new(self.public_key()?).map_err(|_| ClientError::InvalidServerKey)
    }

    fn public_key(&self) -> Result<PublicEncryptingKey, ClientError> {
        if self.kid != thumbprint(&self.n, &self.e) {
            return Err(ClientError::InvalidServerKey);
        }
        let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| ClientError::InvalidServerKey);
        let components = PublicKeyComponents { n: decode(&self.n)?, e: decode(&self.e)? };
        components.try_into().map_err(|_| ClientError::InvalidServerKey)
    }
}

/// RFC 7638 section 3: the required members in lexical order, without white space.
fn thumbprint(n: &str, e: &str) -> KeyId {
    let canonical = format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#);
    BASE64_URL_SAFE_NO_PAD
        .encode(digest(&SHA256, canonical.as_bytes()))
        .parse()
        .expect("a SHA-256 in base64url is 43 characters")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7638 section 3.1.
    const RFC_N: &str = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCi\
        FV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6q\
        MQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";

    #[test]
    fn the_thumbprint_is_that_of_the_rfcs_example() {
        assert_eq!(thumbprint(RFC_N, "AQAB").as_str(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    #[test]
    fn a_kid_that_is_not_the_thumbprint_is_refused() {
        let mut jwk = Jwk::new(&BASE64_URL_SAFE_NO_PAD.decode(RFC_N).unwrap(), &[1, 0, 1]);
        assert!(jwk.encrypting_key().is_ok());
        jwk.e = "AQAD".into();
        assert_eq!(jwk.encrypting_key().unwrap_err(), ClientError::InvalidServerKey);
    }
}
