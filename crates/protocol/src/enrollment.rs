use serde::{Deserialize, Serialize};

use crate::Secret;

/// A one-time token of a step-ca, and where it is good: the answer of the enrolment's routes, and a grant of an exchange.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EnrollmentToken {
    /// The token, a JWT. Whoever has it gets the certificate.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub token: Secret<String>,
    /// The CA that takes it.
    pub ca: CaAddress,
    /// When it ends, Unix time in seconds.
    pub expires_at: u64,
}

/// Where a step-ca is, and how its root is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CaAddress {
    /// Its base URL, as `https://ca.example.com:9000`.
    pub url: String,
    /// The SHA-256 of its root certificate's DER: 64 lower-case hex digits.
    pub fingerprint: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_this_json_and_debug_shows_no_token() {
        let ca = CaAddress { url: "https://ca.example.com:9000".into(), fingerprint: "00".repeat(32) };
        let answer = EnrollmentToken { token: Secret::new("a.b.c".into()), ca, expires_at: 1 };
        let json = serde_json::to_string(&answer).unwrap();
        let fingerprint = "00".repeat(32);
        let expected = format!(
            r#"{{"token":"a.b.c","ca":{{"url":"https://ca.example.com:9000","fingerprint":"{fingerprint}"}},"expires_at":1}}"#
        );
        assert_eq!(json, expected);
        assert!(!format!("{answer:?}").contains("a.b.c"));
        let read: EnrollmentToken = serde_json::from_str(&json).unwrap();
        assert_eq!((read.token.expose().as_str(), read.ca, read.expires_at), ("a.b.c", answer.ca, 1));
    }
}
