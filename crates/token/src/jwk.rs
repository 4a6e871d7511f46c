use std::fmt;

use aws_lc_rs::{
    digest::{SHA256, digest},
    signature::{ECDSA_P256_SHA256_FIXED, ParsedPublicKey},
};
use pem_rfc7468::LineEnding;
use protocol::{KeyId, compact};
use serde::{Deserialize, Serialize};

use crate::base64url;

/// `SubjectPublicKeyInfo` of a P-256 key up to its point (RFC 5480 section 2): id-ecPublicKey, secp256r1, a bit string of 65
/// bytes and one for the unused bits.
const SPKI_PREFIX: [u8; 26] =
    *b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";

/// An uncompressed point (SEC 1 section 2.3.3) begins with it.
const UNCOMPRESSED: u8 = 4;

/// The issuer's public key for ES256 as a JSON Web Key (RFC 7517, RFC 7518 section 6.2.1). Its `kid` is its RFC 7638 thumbprint.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "Members", into = "Members")]
pub struct PublicKey {
    kid: KeyId,
    /// Uncompressed.
    point: [u8; 65],
    key: ParsedPublicKey,
}

/// What is not a key for ES256 whose `kid` is its thumbprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a public key for ES256")]
pub struct InvalidPublicKey;

/// The members of the JWK. Others are ignored (RFC 7517 section 4).
#[derive(Serialize, Deserialize)]
struct Members {
    kty: String,
    crv: String,
    x: String,
    y: String,
    #[serde(rename = "use")]
    usage: String,
    alg: String,
    kid: KeyId,
}

impl PublicKey {
    /// From an uncompressed point on P-256.
    pub(crate) fn from_point(point: [u8; 65]) -> Result<Self, InvalidPublicKey> {
        if point[0] != UNCOMPRESSED {
            return Err(InvalidPublicKey);
        }
        let key = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).map_err(|_| InvalidPublicKey)?;
        Ok(Self { kid: thumbprint(&point), point, key })
    }

    /// The key's id.
    #[must_use]
    pub const fn kid(&self) -> &KeyId {
        &self.kid
    }

    /// The key as `SubjectPublicKeyInfo` in PEM (RFC 7468 section 13): lines of 64 characters and a final newline. A client
    /// signs it with its nonce.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let der = [&SPKI_PREFIX[..], &self.point].concat();
        pem_rfc7468::encode_string("PUBLIC KEY", LineEnding::LF, &der).expect("91 bytes encode as PEM")
    }

    /// Whether this is the signature of the message: r and s, each of 32 bytes (RFC 7518 section 3.4).
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verify_sig(message, signature).is_ok()
    }

    fn coordinates(&self) -> [String; 2] {
        [&self.point[1..33], &self.point[33..]].map(base64url::encode)
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.point == other.point
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl TryFrom<Members> for PublicKey {
    type Error = InvalidPublicKey;

    fn try_from(members: Members) -> Result<Self, InvalidPublicKey> {
        if [&*members.kty, &*members.crv, &*members.usage, &*members.alg] != ["EC", "P-256", "sig", "ES256"] {
            return Err(InvalidPublicKey);
        }
        let mut point = [UNCOMPRESSED; 65];
        for (text, place) in [(&members.x, 1..33), (&members.y, 33..65)] {
            let coordinate = compact::decode(text).filter(|bytes| bytes.len() == 32).ok_or(InvalidPublicKey)?;
            point[place].copy_from_slice(&coordinate);
        }
        Self::from_point(point).ok().filter(|key| key.kid == members.kid).ok_or(InvalidPublicKey)
    }
}

impl From<PublicKey> for Members {
    fn from(key: PublicKey) -> Self {
        let [x, y] = key.coordinates();
        Self { kty: "EC".into(), crv: "P-256".into(), x, y, usage: "sig".into(), alg: "ES256".into(), kid: key.kid }
    }
}

/// RFC 7638 section 3: the required members in lexical order, without white space.
fn thumbprint(point: &[u8; 65]) -> KeyId {
    let [x, y] = [&point[1..33], &point[33..]].map(base64url::encode);
    let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    base64url::encode(digest(&SHA256, canonical.as_bytes())).parse().expect("a SHA-256 in base64url is 43 characters")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7515 appendix A.3.
    const RFC: &str = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","use":"sig","alg":"ES256","more":1,
        "kid":"oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U"}"#;

    #[test]
    fn the_key_of_the_rfc_verifies_the_signature_of_the_rfc() {
        let key: PublicKey = serde_json::from_str(RFC).unwrap();
        let input = b"eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let signature =
            compact::decode("DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q")
                .unwrap();
        assert!(key.verify(input, &signature));
        assert!(!key.verify(b"another message", &signature));
    }

    #[test]
    fn what_is_not_exactly_such_a_key_is_refused() {
        for (from, to) in [
            (r#""kty":"EC""#, r#""kty":"RSA""#),
            ("P-256", "P-384"),
            (r#""sig""#, r#""enc""#),
            ("ES256", "HS256"),
            ("oKIywvG", "aKIywvG"),
            ("f83O", "e83O"),
            ("VEU", "VEV"),
            (r#""alg":"ES256","#, ""),
        ] {
            assert!(serde_json::from_str::<PublicKey>(&RFC.replacen(from, to, 1)).is_err(), "{from} -> {to}");
        }
    }

    #[test]
    fn the_pem_has_lines_of_64_characters_and_a_final_newline() {
        let key: PublicKey = serde_json::from_str(RFC).unwrap();
        let pem = key.to_pem();
        let lines: Vec<&str> = pem.split('\n').collect();
        assert_eq!((lines[0], lines[3], lines[4]), ("-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----", ""));
        assert_eq!((lines.len(), lines[1].len(), lines[2].len()), (5, 64, 60));
    }
}
