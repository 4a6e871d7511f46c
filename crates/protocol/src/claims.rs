use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize, de::IgnoredAny};

use crate::{
    compact::decode,
    error::Refusal,
    secret::{Key256, Secret},
    want::Want,
};

/// The longest time between `iat` and `exp`, in seconds.
pub const MAX_LIFETIME_SECONDS: u64 = 60;

/// How far the clocks of client and broker may differ, in seconds.
pub const LEEWAY_SECONDS: u64 = 30;

/// The most wants that one exchange carries.
pub const MAX_WANTS: usize = 16;

const JTI_BYTES: usize = 16;

/// The claims of a proof (RFC 7519), as they stand on the wire.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    aud: String,
    iat: u64,
    exp: u64,
    jti: String,
    rsk: Secret<String>,
    want: Vec<Want>,
}

/// A list of JSON objects, or anything else.
#[derive(Deserialize)]
#[serde(untagged)]
enum OrObjects {
    #[expect(dead_code, reason = "its shape is what matters")]
    Objects(Vec<BTreeMap<String, IgnoredAny>>),
    Other(IgnoredAny),
}

/// The claims of a proof, well formed.
pub(crate) struct Claims {
    pub(crate) audience: String,
    pub(crate) issued_at: u64,
    pub(crate) expires_at: u64,
    /// 16 bytes in base64url: 22 characters.
    pub(crate) request_id: String,
    pub(crate) response_key: Key256,
    pub(crate) wants: Vec<Want>,
}

impl Claims {
    /// Parses claims; `None` where a member is unknown, missing or malformed.
    pub(crate) fn parse(json: &[u8]) -> Option<Self> {
        let wire: Wire = serde_json::from_slice(json).ok()?;
        // serde takes a list for a structure as well. What the members hold was read above, in one copy.
        let objects: BTreeMap<&str, OrObjects> = serde_json::from_slice(json).ok()?;
        if !matches!(objects.get("want"), Some(OrObjects::Objects(_))) {
            return None;
        }
        if decode(&wire.jti)?.len() != JTI_BYTES
            || !(1..=MAX_WANTS).contains(&wire.want.len())
            || !wire.want.iter().all(Want::is_well_formed)
            || (1..wire.want.len()).any(|index| wire.want[..index].contains(&wire.want[index]))
        {
            return None;
        }
        let response_key = Secret::new(decode(wire.rsk.expose())?);
        Some(Self {
            audience: wire.aud,
            issued_at: wire.iat,
            expires_at: wire.exp,
            request_id: wire.jti,
            response_key: Secret::new(response_key.expose().as_slice().try_into().ok()?),
            wants: wire.want,
        })
    }

    /// The claims of a new request, with its id in base64url.
    pub(crate) fn new(audience: &str, now: u64, jti: [u8; JTI_BYTES], response_key: Key256, wants: &[Want]) -> Self {
        Self {
            audience: audience.to_owned(),
            issued_at: now,
            expires_at: now + MAX_LIFETIME_SECONDS,
            request_id: BASE64_URL_SAFE_NO_PAD.encode(jti),
            response_key,
            wants: wants.to_vec(),
        }
    }

    pub(crate) fn to_json(&self) -> Secret<Vec<u8>> {
        let wire = Wire {
            aud: self.audience.clone(),
            iat: self.issued_at,
            exp: self.expires_at,
            jti: self.request_id.clone(),
            rsk: Secret::new(BASE64_URL_SAFE_NO_PAD.encode(self.response_key.expose())),
            want: self.wants.clone(),
        };
        Secret::new(serde_json::to_vec(&wire).expect("claims serialize"))
    }

    /// Checks `aud`, then the lifetime, then `iat` and `exp` against `now`, Unix time in seconds.
    pub(crate) fn check(&self, audience: &str, now: u64) -> Result<(), Refusal> {
        if self.audience != audience {
            return Err(Refusal::WrongAudience);
        }
        match self.expires_at.checked_sub(self.issued_at) {
            Some(1..=MAX_LIFETIME_SECONDS) => {}
            _ => return Err(Refusal::WrongLifetime),
        }
        if self.issued_at > now.saturating_add(LEEWAY_SECONDS) {
            return Err(Refusal::NotYetValid);
        }
        if self.expires_at.saturating_add(LEEWAY_SECONDS) <= now {
            return Err(Refusal::Expired);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_refused_just_outside_their_bounds() {
        let claims = |iat: u64, exp: u64| Claims {
            expires_at: exp,
            ..Claims::new("a", iat, [0; 16], Secret::new([0; 32]), &[])
        };
        let now = 1_000_000;
        for (name, iat, exp, expected) in [
            ("fresh", now, now + 60, Ok(())),
            ("as_far_in_the_future_as_clocks_may_differ", now + 30, now + 90, Ok(())),
            ("one_second_further", now + 31, now + 91, Err(Refusal::NotYetValid)),
            ("last_second", now - 89, now - 29, Ok(())),
            ("expired", now - 90, now - 30, Err(Refusal::Expired)),
            ("too_long", now, now + 61, Err(Refusal::WrongLifetime)),
            ("no_life", now, now, Err(Refusal::WrongLifetime)),
            ("backwards", now, now - 1, Err(Refusal::WrongLifetime)),
            ("end_of_time", u64::MAX - 60, u64::MAX, Err(Refusal::NotYetValid)),
        ] {
            assert_eq!(claims(iat, exp).check("a", now), expected, "{name}");
        }
        assert_eq!(claims(now, now + 60).check("b", now), Err(Refusal::WrongAudience));
    }
}
