use std::net::IpAddr;

use access_token::{Claims, MAX_TOKEN_BYTES};
use protocol::{KeyId, Secret, compact};
use serde::Deserialize;

/// A token that is fresh has at least this much left, in seconds; where it lives less than twice as long, half its life.
const LEAST_SECONDS: u64 = 60;

/// A token, and what it says, which its bearer takes on trust: not checked is its signature.
#[derive(Clone, Debug)]
pub struct BearerToken {
    token: Secret<String>,
    claims: Claims,
    kid: KeyId,
}

#[derive(Deserialize)]
struct Header {
    kid: KeyId,
}

impl BearerToken {
    /// Reads a token; `None` where it is none.
    #[must_use]
    pub fn read(token: Secret<String>) -> Option<Self> {
        if token.expose().len() > MAX_TOKEN_BYTES {
            return None;
        }
        let [header, claims, signature] = compact::split(token.expose())?;
        // Every part is base64url: what is printed and sent on holds no line end.
        compact::decode(signature)?;
        let Header { kid } = compact::object(header)?;
        Some(Self { claims: compact::object(claims)?, kid, token })
    }

    /// Lends the token. Secret.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.token.expose()
    }

    /// The header that it is used in (RFC 6750 section 2.1). Secret.
    #[must_use]
    pub fn to_header(&self) -> Secret<String> {
        Secret::new(format!("Authorization: Bearer {}", self.expose()))
    }

    /// What it says.
    #[must_use]
    pub const fn claims(&self) -> &Claims {
        &self.claims
    }

    /// What it says, as it stands there.
    ///
    /// # Panics
    /// Never: they were read before.
    #[must_use]
    pub fn claims_json(&self) -> serde_json::Value {
        let claims = compact::split::<3>(self.expose()).and_then(|[_, claims, _]| compact::object(claims));
        claims.expect("the claims were read before")
    }

    /// The key that is said to have signed it.
    #[must_use]
    pub const fn kid(&self) -> &KeyId {
        &self.kid
    }

    /// The first address of the network that it is valid in.
    ///
    /// # Panics
    /// Never: a network has one.
    #[must_use]
    pub fn first_address(&self) -> IpAddr {
        let network = self.claims.network.to_string();
        let address = network.split('/').next().and_then(|address| address.parse().ok());
        address.expect("a network's text begins with its address")
    }

    /// Whether it is worth using at `now`, Unix time in seconds: more than a tenth of its life is left, and at least a minute, or
    /// half its life where that is shorter.
    #[must_use]
    pub const fn is_fresh(&self, now: u64) -> bool {
        let Claims { issued_at, expires_at, .. } = self.claims;
        let (life, left) = (expires_at.saturating_sub(issued_at), expires_at.saturating_sub(now));
        let least = if life < 2 * LEAST_SECONDS { life / 2 } else { LEAST_SECONDS };
        left > life / 10 && left >= least
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use access_token::SigningKey;

    use super::*;

    /// A token of this subject and these times.
    pub(crate) fn token(subject: &str, issued_at: u64, expires_at: u64) -> BearerToken {
        let claims = Claims {
            issuer: "example".into(),
            subject: subject.into(),
            issued_at,
            expires_at,
            network: "192.0.2.0/24".parse().unwrap(),
            session: "session".into(),
            scope: "a b".parse().unwrap(),
        };
        let key = SigningKey::from_pem(SigningKey::generate().expose()).unwrap();
        BearerToken::read(claims.sign(&key)).unwrap()
    }

    #[test]
    fn a_token_is_fresh_until_a_tenth_of_its_life_or_a_minute_is_left() {
        let fresh_until = |life: u64| {
            let token = token("a", 1_000, 1_000 + life);
            let last = (1_000..=1_000 + life).rev().find(|now| token.is_fresh(*now));
            1_000 + life - last.unwrap()
        };
        for (life, least_left) in [(3_600, 361), (600, 61), (590, 60), (120, 60), (119, 59), (60, 30), (2, 1)] {
            assert_eq!(fresh_until(life), least_left, "{life}");
        }
        assert!(!token("a", 1_000, 1_000).is_fresh(1_000));
        assert!(!token("a", 1_000, 4_600).is_fresh(5_000));
    }

    #[test]
    fn a_token_is_read_without_its_key_and_not_shown_by_debug() {
        let token = token("group:web", 1, 2);
        assert_eq!(token.claims().subject, "group:web");
        assert_eq!(token.claims_json()["scope"], "a b");
        assert_eq!(token.first_address().to_string(), "192.0.2.0");
        assert!(!format!("{token:?}").contains(token.expose()));
        for bad in ["", "a.b.c", "e30.e30.", &"a".repeat(5_000)] {
            assert!(BearerToken::read(Secret::new(bad.into())).is_none(), "{bad}");
        }
    }
}
