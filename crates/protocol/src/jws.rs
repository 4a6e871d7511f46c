//! Compact JWS (RFC 7515 section 7.1) with one algorithm, `HS256` (RFC 7518 section 3.2).

use aws_lc_rs::hmac;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::{
    claims::Claims,
    compact::{decode, encode_json, object, split},
    name::{Group, PoolId},
    secret::{Key256, Secret},
};

/// The protected header: exactly these members.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    kid: String,
}

/// A JWS that was parsed and whose MAC was not yet verified.
pub(crate) struct Unverified {
    pub(crate) group: Group,
    pub(crate) pool_id: PoolId,
    pub(crate) claims: Claims,
    signing_input: Secret<String>,
    tag: Vec<u8>,
}

/// The `kid` of a proof: group and pool.
pub(crate) fn kid(group: &Group, pool_id: &PoolId) -> String {
    format!("{group}/{pool_id}")
}

impl Unverified {
    /// Parses a proof; `None` where header or claims are not exactly of the accepted form.
    pub(crate) fn parse(compact: &str) -> Option<Self> {
        let [header_part, claims_part, tag] = split(compact)?;
        let header: Header = object(header_part)?;
        if header.alg != "HS256" {
            return None;
        }
        let (group, pool_id) = header.kid.split_once('/')?;
        let claims = Secret::new(decode(claims_part)?);
        Some(Self {
            group: group.parse().ok()?,
            pool_id: pool_id.parse().ok()?,
            claims: Claims::parse(claims.expose())?,
            signing_input: Secret::new(format!("{header_part}.{claims_part}")),
            tag: decode(tag)?,
        })
    }

    /// Whether the MAC holds, in constant time.
    pub(crate) fn holds(&self, key: &Key256) -> bool {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key.expose());
        hmac::verify(&key, self.signing_input.expose().as_bytes(), &self.tag).is_ok()
    }
}

/// Signs claims under a proof key.
pub(crate) fn sign(kid: String, claims: &[u8], key: &Key256) -> Secret<String> {
    let mut compact = encode_json(&Header { alg: "HS256".into(), kid });
    compact.reserve_exact(claims.len() * 4 / 3 + 64);
    compact.push('.');
    BASE64_URL_SAFE_NO_PAD.encode_string(claims, &mut compact);
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.expose()), compact.as_bytes());
    compact.push('.');
    BASE64_URL_SAFE_NO_PAD.encode_string(tag, &mut compact);
    Secret::new(compact)
}
