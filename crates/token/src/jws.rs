//! Compact JWS (RFC 7515 section 7.1) with one algorithm, `ES256` (RFC 7518 section 3.4).

use protocol::{KeyId, compact};
use serde::{Deserialize, Serialize};

use crate::{KeySet, PublicKey, SigningKey, TokenRefusal, base64url};

/// The protected header: exactly these members.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    kid: KeyId,
    typ: String,
}

/// Signs claims.
pub(crate) fn sign(claims: &impl Serialize, key: &SigningKey) -> String {
    let header = Header { alg: "ES256".into(), kid: key.public().kid().clone(), typ: "JWT".into() };
    let mut jws = format!("{}.{}", compact::encode_json(&header), compact::encode_json(claims));
    let signature = key.sign(jws.as_bytes());
    jws.push('.');
    jws.push_str(&base64url::encode(signature));
    jws
}

/// Verifies a signature and reads the claims; in the order of the refusals. With the claims comes the key.
pub(crate) fn verify<'a, C: for<'de> Deserialize<'de>>(
    jws: &str,
    keys: &'a KeySet,
) -> Result<(C, &'a PublicKey), TokenRefusal> {
    let [header_part, claims_part, signature] = compact::split(jws).ok_or(TokenRefusal::Malformed)?;
    let header: Header = compact::object(header_part).ok_or(TokenRefusal::WrongHeader)?;
    if header.alg != "ES256" || header.typ != "JWT" {
        return Err(TokenRefusal::WrongHeader);
    }
    let key = keys.find(&header.kid).ok_or(TokenRefusal::UnknownKey)?;
    let signature = compact::decode(signature).ok_or(TokenRefusal::Malformed)?;
    if !key.verify(&jws.as_bytes()[..header_part.len() + 1 + claims_part.len()], &signature) {
        return Err(TokenRefusal::WrongSignature);
    }
    Ok((compact::object(claims_part).ok_or(TokenRefusal::WrongClaims)?, key))
}
