use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{EnrollmentToken, Secret};

/// What an exchange released: one grant per want, in the order of the wants.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer {
    /// The grants.
    pub granted: Vec<Grant>,
    /// The earliest end of a grant, Unix time in seconds; absent where none ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
}

/// One thing released.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Grant {
    /// A secret's value.
    Secret(SecretGrant),
    /// AWS credentials.
    Aws(AwsCredentials),
    /// An access token.
    AccessToken(AccessToken),
    /// A one-time token of a step-ca.
    EnrollmentToken(EnrollmentToken),
}

/// One version of a secret of AWS Secrets Manager; the members are named as in `GetSecretValue`.
#[derive(Debug, Serialize, Deserialize)]
pub struct SecretGrant {
    /// The secret's name.
    pub id: String,
    /// The version that this is.
    pub version_id: String,
    /// The staging labels of the version.
    pub version_stages: Vec<String>,
    /// The value: member `secret_string` or `secret_binary` (base64 with padding, RFC 4648 section 4).
    #[serde(flatten)]
    pub value: SecretValue,
}

/// A secret's value: text or bytes, as it was stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum SecretValue {
    /// Stored as `SecretString`.
    #[serde(rename = "secret_string")]
    Text(Secret<String>),
    /// Stored as `SecretBinary`.
    #[serde(rename = "secret_binary", serialize_with = "to_base64", deserialize_with = "from_base64")]
    Binary(Secret<Vec<u8>>),
}

impl SecretValue {
    /// Lends the bytes of the value. Secret.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.expose().as_bytes(),
            Self::Binary(bytes) => bytes.expose(),
        }
    }
}

/// Short-lived credentials from AWS STS `AssumeRole`.
#[derive(Debug, Serialize, Deserialize)]
pub struct AwsCredentials {
    /// The role's alias.
    pub role: String,
    /// Access key id.
    pub access_key_id: String,
    /// Secret access key.
    pub secret_access_key: Secret<String>,
    /// Session token.
    pub session_token: Secret<String>,
    /// When they end, Unix time in seconds.
    pub expires_at: u64,
}

/// An access token; the members are named as in RFC 6749 section 5.1.
#[derive(Debug, Serialize, Deserialize)]
pub struct AccessToken {
    /// The token, a JWT.
    pub access_token: Secret<String>,
    /// `Bearer` (RFC 6750).
    pub token_type: TokenType,
    /// When it ends, Unix time in seconds.
    pub expires_at: u64,
}

/// How a token is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenType {
    /// In the header `Authorization` (RFC 6750 section 2.1).
    Bearer,
}

/// Why an exchange whose proof held released nothing; it is told under the response key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    /// What is wrong.
    pub code: DenialCode,
    /// Which want, counted from 0.
    pub want: usize,
}

/// What is wrong with a want.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DenialCode {
    /// Policy does not allow it.
    Denied,
    /// Policy allows it, and there is no such thing.
    NotFound,
}

fn to_base64<S: Serializer>(bytes: &Secret<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
    Secret::new(BASE64_STANDARD.encode(bytes.expose())).serialize(serializer)
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret<Vec<u8>>, D::Error> {
    let text = Secret::<String>::deserialize(deserializer)?;
    BASE64_STANDARD
        .decode(text.expose())
        .map(Secret::new)
        .map_err(|_| serde::de::Error::custom("secret_binary is not base64"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes_survive_the_wire() {
        for value in [SecretValue::Text(Secret::new("pa$$\n".into())), SecretValue::Binary(Secret::new(vec![0, 255]))] {
            let grant = Grant::Secret(SecretGrant {
                id: "app/db".into(),
                version_id: "v".into(),
                version_stages: vec!["AWSCURRENT".into()],
                value: value.clone(),
            });
            let answer = Answer { granted: vec![grant], expires_at: None };
            let read: Answer = serde_json::from_slice(&serde_json::to_vec(&answer).unwrap()).unwrap();
            let [Grant::Secret(SecretGrant { value: back, .. })] = &read.granted[..] else { panic!("not a secret") };
            assert_eq!(back.expose(), value.expose());
            assert!(!format!("{answer:?}").contains("pa$$"));
        }
    }
}
