//! Compact serialization (RFC 7515 section 7.1, RFC 7516 section 7.1), read strictly.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

/// Splits a compact serialization into its `N` parts.
#[must_use]
pub fn split<const N: usize>(compact: &str) -> Option<[&str; N]> {
    let mut parts = compact.split('.');
    let found = [(); N].map(|()| parts.next());
    if parts.next().is_some() || found.iter().any(Option::is_none) {
        return None;
    }
    Some(found.map(|part| part.expect("every part was found")))
}

/// Strict base64url: no padding, no white space, no stray bits at the end.
#[must_use]
pub fn decode(part: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(part).ok()
}

/// A JSON object in base64url. (serde would take a list for a structure as well.)
#[must_use]
pub fn object<T: for<'de> Deserialize<'de>>(part: &str) -> Option<T> {
    let json = decode(part)?;
    if json.first() != Some(&b'{') {
        return None;
    }
    serde_json::from_slice(&json).ok()
}

/// A header or claims as JSON in base64url.
///
/// # Panics
/// Where the type does not serialize: it must be a structure of texts and numbers.
#[must_use]
pub fn encode_json<T: Serialize>(value: &T) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(value).expect("a header serializes"))
}
