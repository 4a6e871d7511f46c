use std::fmt;

use aws_lc_rs::{
    digest::{SHA256, digest},
    encoding::{AsBigEndian as _, EcPrivateKeyBin},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use protocol::{Secret, compact};
use serde::{Deserialize, Serialize};

use crate::{KeyError, MAX_KEY_BYTES, ProvisionerName, jwe, secret_json};

/// An uncompressed point (SEC 1 section 2.3.3) begins with it.
const UNCOMPRESSED: u8 = 4;

/// The private key of a JWK provisioner: ECDSA over P-256, which signs with ES256. Its `kid` is its RFC 7638 thumbprint, as
/// `step` has it.
pub struct JwkKey {
    pair: EcdsaKeyPair,
    public: Public,
}

/// The public half as step-ca's configuration has it.
#[derive(Serialize)]
struct Public {
    #[serde(rename = "use")]
    usage: &'static str,
    kty: &'static str,
    kid: String,
    crv: &'static str,
    alg: &'static str,
    x: String,
    y: String,
}

/// A private JWK (RFC 7517, RFC 7518 section 6.2). Other members are ignored, as the RFC has it; none of these may be there twice.
#[derive(Deserialize)]
struct Members {
    kty: String,
    crv: String,
    x: String,
    y: String,
    d: Secret<String>,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    alg: Option<String>,
}

#[derive(Serialize)]
struct Private<'a> {
    #[serde(flatten)]
    public: &'a Public,
    d: &'a Secret<String>,
}

impl JwkKey {
    /// Makes a key. Its randomness is AWS-LC's own.
    ///
    /// # Errors
    /// [`KeyError::Cryptography`].
    pub fn generate() -> Result<Self, KeyError> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| KeyError::Cryptography)?;
        Ok(Self::new(pair))
    }

    /// Reads a private JWK (RFC 7517, RFC 7518 section 6.2): `kty` EC, `crv` P-256, `x`, `y`, `d`; `kid`, `use` and `alg` where they
    /// are there.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_json(json: &str) -> Result<Self, KeyError> {
        if json.len() > MAX_KEY_BYTES {
            return Err(KeyError::Oversized);
        }
        let members: Members = secret_json::read(json).ok_or(KeyError::Malformed)?;
        let is_or_none = |member: &Option<String>, value| member.as_ref().is_none_or(|member| member == value);
        let is_accepted = members.kty == "EC"
            && members.crv == "P-256"
            && is_or_none(&members.usage, "sig")
            && is_or_none(&members.alg, "ES256");
        if !is_accepted {
            return Err(KeyError::UnacceptedKey);
        }
        let mut point = [UNCOMPRESSED; 65];
        for (text, place) in [(&members.x, 1..33), (&members.y, 33..65)] {
            let coordinate = compact::decode(text).filter(|bytes| bytes.len() == 32).ok_or(KeyError::Malformed)?;
            point[place].copy_from_slice(&coordinate);
        }
        // RFC 7518 section 6.2.2.1: of the length of the order.
        let private = Secret::new(compact::decode(members.d.expose()).ok_or(KeyError::Malformed)?);
        if private.expose().len() != 32 {
            return Err(KeyError::Malformed);
        }
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pair = EcdsaKeyPair::from_private_key_and_public_key(algorithm, private.expose(), &point)
            .map_err(|_| KeyError::KeyMismatch)?;
        let key = Self::new(pair);
        if is_or_none(&members.kid, key.kid()) { Ok(key) } else { Err(KeyError::WrongKeyId) }
    }

    /// Reads a private JWK out of the JWE that `step` keeps it in (RFC 7516, compact or JSON): `PBES2-HS256+A128KW`, with `A256GCM`
    /// or `A128GCM`.
    ///
    /// # Errors
    /// [`KeyError`]; [`KeyError::WrongPassword`] also for a JWE that was altered, which nobody can tell apart.
    pub fn from_encrypted(jwe: &str, password: &[u8]) -> Result<Self, KeyError> {
        if jwe.len() > MAX_KEY_BYTES {
            return Err(KeyError::Oversized);
        }
        let json = jwe::decrypt(jwe.trim_ascii(), password)?;
        Self::from_json(str::from_utf8(json.expose()).map_err(|_| KeyError::Malformed)?)
    }

    fn new(pair: EcdsaKeyPair) -> Self {
        let point = pair.public_key().as_ref();
        let [x, y] = [&point[1..33], &point[33..]].map(|coordinate| BASE64_URL_SAFE_NO_PAD.encode(coordinate));
        let kid = thumbprint(&x, &y);
        Self { pair, public: Public { usage: "sig", kty: "EC", kid, crv: "P-256", alg: "ES256", x, y } }
    }

    /// The private JWK.
    ///
    /// # Panics
    /// Never: the key is in memory.
    #[must_use]
    pub fn to_json(&self) -> Secret<String> {
        let private: EcPrivateKeyBin<'_> = self.pair.private_key().as_be_bytes().expect("a key in memory encodes");
        let d = Secret::new(BASE64_URL_SAFE_NO_PAD.encode(private.as_ref()));
        secret_json::write(&Private { public: &self.public, d: &d })
    }

    /// The key's id.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.public.kid
    }

    /// What to add to `authority.provisioners` in the CA's configuration: the public half alone, and no `encryptedKey`.
    #[must_use]
    pub fn provisioner_json(&self, name: &ProvisionerName) -> serde_json::Value {
        serde_json::json!({ "type": "JWK", "name": name, "key": self.public })
    }

    /// r and s, each of 32 bytes (RFC 7518 section 3.4).
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let signature = self.pair.sign(&SystemRandom::new(), message).map_err(|_| KeyError::Cryptography)?;
        Ok(signature.as_ref().to_vec())
    }
}

impl fmt::Debug for JwkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwkKey").field("kid", &self.public.kid).finish_non_exhaustive()
    }
}

/// RFC 7638 section 3: the required members in lexical order, without white space.
fn thumbprint(x: &str, y: &str) -> String {
    let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, canonical.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7515 appendix A.3.1, whose thumbprint `step crypto jwk thumbprint` would show.
    const RFC: &str = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
        "use":"sig","alg":"ES256","kid":"oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U","more":1}"#;

    #[test]
    fn a_key_reads_back_and_keeps_its_private_half_to_itself() {
        for key in [JwkKey::from_json(RFC).unwrap(), JwkKey::generate().unwrap()] {
            let json = key.to_json();
            let again = JwkKey::from_json(json.expose()).unwrap();
            assert_eq!((again.kid(), again.to_json().expose()), (key.kid(), json.expose()));
            let private: serde_json::Value = serde_json::from_str(json.expose()).unwrap();
            let d = private["d"].as_str().unwrap();
            let shown = key.provisioner_json(&"ra".parse().unwrap()).to_string();
            assert!(!shown.contains(d) && !format!("{key:?}").contains(d));
            assert!(!shown.contains("\"d\"") && !shown.contains("encryptedKey"), "{shown}");
        }
    }

    #[test]
    fn the_provisioner_has_the_public_half() {
        let expected = serde_json::json!({
            "type": "JWK",
            "name": "countersign",
            "key": {
                "use": "sig", "kty": "EC", "kid": "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U", "crv": "P-256",
                "alg": "ES256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
            },
        });
        assert_eq!(JwkKey::from_json(RFC).unwrap().provisioner_json(&"countersign".parse().unwrap()), expected);
    }

    #[test]
    fn a_key_without_an_id_gets_its_thumbprint() {
        let json = RFC.replace(r#","kid":"oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U""#, "");
        let json = json.replace(r#""use":"sig","alg":"ES256""#, r#""use":"sig""#);
        assert_eq!(JwkKey::from_json(&json).unwrap().kid(), "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U");
    }

    #[test]
    fn what_is_not_exactly_such_a_key_is_refused() {
        let cases = [
            ("another_type", r#""kty":"EC""#, r#""kty":"oct""#, KeyError::UnacceptedKey),
            ("another_curve", "P-256", "P-384", KeyError::UnacceptedKey),
            ("for_encryption", r#""sig""#, r#""enc""#, KeyError::UnacceptedKey),
            ("another_algorithm", "ES256", "HS256", KeyError::UnacceptedKey),
            ("no_algorithm", "ES256", "none", KeyError::UnacceptedKey),
            ("another_kid", "oKIywvG", "aKIywvG", KeyError::WrongKeyId),
            ("another_point", "f83O", "e83O", KeyError::KeyMismatch),
            ("another_private_half", "jpsQ", "jpsR", KeyError::KeyMismatch),
            (
                "private_half_of_zero",
                "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
                &"A".repeat(43),
                KeyError::KeyMismatch,
            ),
            ("short_private_half", "jpsQnnGQmL-", "jpsQnnG", KeyError::Malformed),
            ("long_coordinate", "f83O", "AAAAf83O", KeyError::Malformed),
            ("stray_bits", "VEU", "VEV", KeyError::Malformed),
            ("public_alone", r#""d":"#, r#""e":"#, KeyError::Malformed),
            (
                "private_half_twice",
                r#""more":1"#,
                r#""d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI""#,
                KeyError::Malformed,
            ),
            ("type_twice", r#""more":1"#, r#""kty":"EC""#, KeyError::Malformed),
            ("a_number_for_text", r#""sig""#, "1", KeyError::Malformed),
            ("something_after_it", "1}", "1}{}", KeyError::Malformed),
        ];
        for (name, from, to, error) in cases {
            let json = RFC.replacen(from, to, 1);
            assert_ne!(json, RFC, "{name}");
            assert_eq!(JwkKey::from_json(&json).unwrap_err(), error, "{name}");
        }
        let list = r#"["EC","P-256","f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",null,null,null]"#;
        assert_eq!(JwkKey::from_json(list).unwrap_err(), KeyError::Malformed);
        let large = format!("{RFC}{}", " ".repeat(MAX_KEY_BYTES));
        assert_eq!(JwkKey::from_json(&large).unwrap_err(), KeyError::Oversized);
    }
}
