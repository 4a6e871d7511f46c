use protocol::{EnrollmentToken, Secret, compact};
use serde::Deserialize;
use step::{CaUrl, RootFingerprint};

use crate::enrollment::EnrollmentError;

/// The longest token that is read, in bytes: one with a chain of certificates in its header, which RSA keys make long.
const MAX_BYTES: usize = 32 * 1024;

/// A one-time token of a step-ca, and where it is good.
#[derive(Clone, Debug)]
pub struct OneTimeToken {
    /// The token. Whoever has it gets what it is for.
    pub token: Secret<String>,
    /// The CA's url.
    pub url: CaUrl,
    /// What its root is known by.
    pub fingerprint: RootFingerprint,
}

/// What a token says of its CA.
#[derive(Deserialize)]
struct Claims {
    aud: Audience,
    sha: RootFingerprint,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl OneTimeToken {
    /// Reads a token, which names its CA. That is taken on trust, from whoever gave it: its signature is the CA's affair.
    ///
    /// # Errors
    /// [`EnrollmentError::NotAOneTimeToken`].
    pub fn read(token: Secret<String>) -> Result<Self, EnrollmentError> {
        let text = token.expose().as_str();
        let claims = || {
            let [_, claims, _] = Some(text).filter(|text| text.len() <= MAX_BYTES).and_then(compact::split)?;
            compact::object::<Claims>(claims)
        };
        let Claims { aud, sha } = claims().ok_or(EnrollmentError::NotAOneTimeToken)?;
        let audience = match aud {
            Audience::One(audience) => Some(audience),
            Audience::Many(all) => all.into_iter().next(),
        };
        let url = audience.as_deref().and_then(|audience| base_of(audience)?.parse().ok());
        Ok(Self { url: url.ok_or(EnrollmentError::NotAOneTimeToken)?, fingerprint: sha, token })
    }
}

impl TryFrom<EnrollmentToken> for OneTimeToken {
    type Error = EnrollmentError;

    fn try_from(granted: EnrollmentToken) -> Result<Self, EnrollmentError> {
        let EnrollmentToken { token, ca, expires_at: _ } = granted;
        let url = ca.url.parse().map_err(|_| EnrollmentError::ForeignCa)?;
        let fingerprint = ca.fingerprint.parse().map_err(|_| EnrollmentError::ForeignCa)?;
        Ok(Self { token, url, fingerprint })
    }
}

/// Of `https://ca.example.com/1.0/sign#x5c/name` the url of the CA.
fn base_of(audience: &str) -> Option<&str> {
    let scheme = audience.find("://")? + "://".len();
    let end = audience[scheme..].find(['/', '#', '?']).map_or(audience.len(), |at| scheme + at);
    Some(&audience[..end])
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
    use protocol::CaAddress;
    use serde_json::{Value, json};

    use super::*;

    fn read(claims: &Value) -> Result<OneTimeToken, EnrollmentError> {
        let [header, claims] = [&json!({}), claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string()));
        OneTimeToken::read(Secret::new(format!("{header}.{claims}.c2ln")))
    }

    #[test]
    fn a_token_names_its_ca() {
        let sha = "ab".repeat(32);
        for audience in [
            json!("https://ca.example.com:9000/1.0/sign"),
            json!(["https://ca.example.com:9000/1.0/sign#x5c/name", "https://other.example.com/1.0/sign"]),
            json!("https://ca.example.com:9000"),
        ] {
            let token = read(&json!({ "aud": audience, "sha": sha, "sub": "alice" })).unwrap();
            assert_eq!(token.url.as_str(), "https://ca.example.com:9000", "{audience}");
            assert_eq!(token.fingerprint.to_string(), sha);
            assert!(!format!("{token:?}").contains(token.token.expose()));
        }
        for bad in [
            json!({ "sha": sha }),
            json!({ "aud": "https://ca.example.com" }),
            json!({ "aud": [], "sha": sha }),
            json!({ "aud": "http://ca.example.com/1.0/sign", "sha": sha }),
            json!({ "aud": "ca.example.com", "sha": sha }),
            json!({ "aud": "https://user@ca.example.com/1.0/sign", "sha": sha }),
            json!({ "aud": "https://ca.example.com", "sha": "ab" }),
        ] {
            assert!(matches!(read(&bad), Err(EnrollmentError::NotAOneTimeToken)), "{bad}");
        }
        for bad in ["", "a.b", &"a".repeat(MAX_BYTES + 1)] {
            assert!(OneTimeToken::read(Secret::new(bad.to_owned())).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_ca_that_the_broker_names_is_one() {
        let granted = |url: &str, fingerprint: &str| {
            let ca = CaAddress { url: url.into(), fingerprint: fingerprint.into() };
            OneTimeToken::try_from(EnrollmentToken { token: Secret::new("a.b.c".into()), ca, expires_at: 1 })
        };
        let fingerprint = "ab".repeat(32);
        assert!(granted("https://ca.example.com", &fingerprint).is_ok());
        assert!(granted("http://ca.example.com", &fingerprint).is_err());
        assert!(granted("https://ca.example.com", "ab").is_err());
    }
}
