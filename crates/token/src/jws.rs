//! Compact JWS (RFC 7515 section 7.1) with one algorithm, `ES256` (RFC 7518 section 3.4).

use protocol::{KeyId, compact};
use serde::{Deserialize, Serialize};

use crate::{KeySet, PublicKey, SigningKey, TokenRefusal, base64url};

/// What a JWS is, by the `typ` of its header (RFC 8725 section 3.11): one is never taken for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An access token.
    Token,
    /// A nonce for a client.
    Nonce,
}

impl Kind {
    const fn typ(self) -> &'static str {
        match self {
            Self::Token => "JWT",
            Self::Nonce => "nonce+jwt",
        }
    }
}

/// The protected header: exactly these members.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    kid: KeyId,
    typ: String,
    /// Of a nonce alone (RFC 7519 section 5.3): the host that the issuer is asked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    iss: Option<String>,
}

/// A JWS whose signature was verified.
pub(crate) struct Verified<'a, C> {
    pub(crate) claims: C,
    pub(crate) key: &'a PublicKey,
    pub(crate) host: Option<String>,
}

/// Signs claims.
pub(crate) fn sign(claims: &impl Serialize, kind: Kind, host: Option<&str>, key: &SigningKey) -> String {
    let kid = key.public().kid().clone();
    let header = Header { alg: "ES256".into(), kid, typ: kind.typ().into(), iss: host.map(str::to_owned) };
    let mut jws = format!("{}.{}", compact::encode_json(&header), compact::encode_json(claims));
    let signature = key.sign(jws.as_bytes());
    jws.push('.');
    jws.push_str(&base64url::encode(signature));
    jws
}

/// Verifies a signature and reads the claims; in the order of the refusals.
pub(crate) fn verify<'a, C: for<'de> Deserialize<'de>>(
    jws: &str,
    kind: Kind,
    keys: &'a KeySet,
) -> Result<Verified<'a, C>, TokenRefusal> {
    let [header_part, claims_part, signature] = compact::split(jws).ok_or(TokenRefusal::Malformed)?;
    let header: Header = compact::object(header_part).ok_or(TokenRefusal::WrongHeader)?;
    if header.alg != "ES256" || header.typ != kind.typ() || (kind == Kind::Token && header.iss.is_some()) {
        return Err(TokenRefusal::WrongHeader);
    }
    let key = keys.find(&header.kid).ok_or(TokenRefusal::UnknownKey)?;
    let signature = compact::decode(signature).ok_or(TokenRefusal::Malformed)?;
    if !key.verify(&jws.as_bytes()[..header_part.len() + 1 + claims_part.len()], &signature) {
        return Err(TokenRefusal::WrongSignature);
    }
    let claims = compact::object(claims_part).ok_or(TokenRefusal::WrongClaims)?;
    Ok(Verified { claims, key, host: header.iss })
}
