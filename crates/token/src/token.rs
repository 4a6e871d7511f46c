use std::net::IpAddr;

use protocol::{KeyId, Random, Secret};
use serde::{Deserialize, Serialize};

use crate::{
    KeySet, Network, Scope, SigningKey, TokenRefusal, base64url,
    jws::{self, Kind, Verified},
};

/// How far the clocks of issuer and verifier may differ where a token is too young, in seconds.
pub const LEEWAY_SECONDS: u64 = 30;

/// The largest token, in bytes. With the longest scope it has less than 2 KiB.
pub const MAX_TOKEN_BYTES: usize = 4096;

const SESSION_BYTES: usize = 32;

/// What a token says (RFC 7519). Claims that are not named here are ignored, as the RFC's section 4 wants it, so that later
/// versions may add some.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who issued it: the deployment's audience.
    #[serde(rename = "iss")]
    pub issuer: String,
    /// Whom it speaks of: an ssh key's fingerprint, `group:NAME`, or `network:NAME`.
    #[serde(rename = "sub")]
    pub subject: String,
    /// When it was issued, Unix time in seconds.
    #[serde(rename = "iat")]
    pub issued_at: u64,
    /// When it ends, Unix time in seconds.
    #[serde(rename = "exp")]
    pub expires_at: u64,
    /// Where it is valid.
    #[serde(rename = "ipn")]
    pub network: Network,
    /// Names the session: 32 random bytes in base64url.
    #[serde(rename = "ses")]
    pub session: String,
    /// What it is for.
    pub scope: Scope,
}

/// A token that was verified. [`verify`] alone makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedToken {
    claims: Claims,
    kid: KeyId,
}

impl Claims {
    /// Signs them: a compact JWS, which is the token.
    #[must_use]
    pub fn sign(&self, key: &SigningKey) -> Secret<String> {
        Secret::new(jws::sign(self, Kind::Token, None, key))
    }

    /// A new session's name.
    #[must_use]
    pub fn new_session(random: &dyn Random) -> String {
        let mut bytes = [0; SESSION_BYTES];
        random.fill(&mut bytes);
        base64url::encode(bytes)
    }
}

impl VerifiedToken {
    /// What it says.
    #[must_use]
    pub const fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The key that signed it.
    #[must_use]
    pub const fn kid(&self) -> &KeyId {
        &self.kid
    }
}

/// Verifies a token for a caller: form, header, key, signature, claims, time, network, in this order.
///
/// `address` is the caller's as the outermost trusted hop saw it, never a header's; IPv4-mapped IPv6 counts as IPv4. `keys` are the
/// issuer's (`/.well-known/jwks.json`); where the refusal is [`TokenRefusal::UnknownKey`], fetch them anew, at most once a second, and
/// try again. `now` is Unix time in seconds.
///
/// Not checked: `iss`, which only matters to who trusts keys of several issuers, and whether `scope` suffices.
///
/// # Errors
/// The first check that did not hold.
pub fn verify(token: &str, address: IpAddr, keys: &KeySet, now: u64) -> Result<VerifiedToken, TokenRefusal> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(TokenRefusal::Malformed);
    }
    let Verified::<Claims> { claims, key, .. } = jws::verify(token, Kind::Token, keys)?;
    if claims.issued_at > now.saturating_add(LEEWAY_SECONDS) {
        return Err(TokenRefusal::NotYetValid);
    }
    if claims.expires_at <= now {
        return Err(TokenRefusal::Expired);
    }
    if !claims.network.contains(address) {
        return Err(TokenRefusal::WrongNetwork);
    }
    Ok(VerifiedToken { kid: key.kid().clone(), claims })
}

/// The token of an `Authorization` header (RFC 6750 section 2.1); `None` where it is of another scheme or form.
#[must_use]
pub fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    let token = token.trim_start_matches(' ');
    let is_token = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    (scheme.eq_ignore_ascii_case("bearer") && is_token).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_token_is_one_word_after_the_scheme() {
        for (header, token) in [("Bearer a.b.c", "a.b.c"), ("bearer  a.b.c", "a.b.c"), ("BEARER a", "a")] {
            assert_eq!(bearer(header), Some(token), "{header}");
        }
        for bad in ["", "Bearer", "Bearer ", "Basic a", "a.b.c", "Bearer a b", "Bearer a\t", "Bearer, a", "Bearer\ta"] {
            assert_eq!(bearer(bad), None, "{bad}");
        }
    }
}
