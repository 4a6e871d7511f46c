//! Credentials in the form that AWS CLI and SDKs take from a program.
//!
//! Source: AWS SDKs and Tools Reference Guide, "Process credential provider".

use protocol::Secret;
use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{AccessKey, AwsCredentials};

/// Credentials that a program prints.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Document<'a> {
    pub(crate) version: u8,
    pub(crate) access_key_id: &'a str,
    pub(crate) secret_access_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) session_token: Option<&'a str>,
    /// Absent of those that do not end: they are not asked for again then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expiration: Option<String>,
}

impl Document<'_> {
    pub(crate) const VERSION: u8 = 1;

    pub(crate) fn to_json(&self) -> Secret<Vec<u8>> {
        Secret::new(serde_json::to_vec(self).expect("credentials serialize"))
    }
}

/// The document of these credentials.
#[must_use]
pub fn document(credentials: &AwsCredentials) -> Secret<Vec<u8>> {
    let document = Document {
        version: Document::VERSION,
        access_key_id: &credentials.access_key_id,
        secret_access_key: credentials.secret_access_key.expose(),
        session_token: Some(credentials.session_token.expose()),
        expiration: Some(rfc3339(credentials.expires_at)),
    };
    document.to_json()
}

/// The document of an access key that does not end.
#[must_use]
pub fn access_key_document(key: &AccessKey) -> Secret<Vec<u8>> {
    let document = Document {
        version: Document::VERSION,
        access_key_id: key.id(),
        secret_access_key: key.secret().expose(),
        session_token: None,
        expiration: None,
    };
    document.to_json()
}

/// Unix time in seconds as AWS writes it: `2027-01-15T08:00:00Z`.
pub(crate) fn rfc3339(unix_seconds: u64) -> String {
    let at = i64::try_from(unix_seconds).ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    at.and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SecretValue;

    #[test]
    fn a_roles_document_says_when_it_ends() {
        let credentials = AwsCredentials {
            role: "nightly".into(),
            access_key_id: "ASIAEXAMPLE".into(),
            secret_access_key: Secret::new("secret".into()),
            session_token: Secret::new("token".into()),
            expires_at: 1_800_000_000,
        };
        let expected = r#"{"Version":1,"AccessKeyId":"ASIAEXAMPLE","SecretAccessKey":"secret","SessionToken":"token","Expiration":"2027-01-15T08:00:00Z"}"#;
        assert_eq!(str::from_utf8(document(&credentials).expose()), Ok(expected));
    }

    #[test]
    fn an_access_keys_document_says_nothing_of_an_end() {
        let value = SecretValue::Text(Secret::new("AKIAEXAMPLE,secret".into()));
        let document = access_key_document(&AccessKey::from_secret(&value).unwrap());
        let expected = r#"{"Version":1,"AccessKeyId":"AKIAEXAMPLE","SecretAccessKey":"secret"}"#;
        assert_eq!(str::from_utf8(document.expose()), Ok(expected));
    }
}
