//! Credentials in the form that AWS CLI and SDKs take from a program.
//!
//! Source: AWS SDKs and Tools Reference Guide, "Process credential provider".

use protocol::Secret;
use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::AwsCredentials;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document<'a> {
    version: u8,
    access_key_id: &'a str,
    secret_access_key: &'a str,
    session_token: &'a str,
    expiration: String,
}

/// The document of these credentials.
#[must_use]
pub fn document(credentials: &AwsCredentials) -> Secret<Vec<u8>> {
    let document = Document {
        version: 1,
        access_key_id: &credentials.access_key_id,
        secret_access_key: credentials.secret_access_key.expose(),
        session_token: credentials.session_token.expose(),
        expiration: rfc3339(credentials.expires_at),
    };
    Secret::new(serde_json::to_vec(&document).expect("credentials serialize"))
}

/// Unix time in seconds as AWS writes it: `2027-01-15T08:00:00Z`.
pub(crate) fn rfc3339(unix_seconds: u64) -> String {
    let at = i64::try_from(unix_seconds).ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    at.and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default()
}
