use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, header},
};
use serde::de::DeserializeOwned;

use crate::stop::Stop;

/// The longest body, in bytes.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// What a route takes for JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MediaType {
    /// What is called so.
    Json,
    /// Whatever it is called: clients of the older service call it many things. Not from a page in a browser.
    Any,
}

/// Reads a body: one JSON object. Members that the route does not know are refused.
pub(crate) async fn read<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
    media_type: MediaType,
) -> Result<T, Stop> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|found| found.to_str().ok()).unwrap_or_default();
    // With parameters, such as a charset.
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if media_type == MediaType::Json && !essence.eq_ignore_ascii_case("application/json") {
        return Err(Stop::malformed("media_type"));
    }
    // Browsers send what has no media type of JSON's for any page, without asking (WHATWG Fetch, "CORS-safelisted request-header").
    if media_type == MediaType::Any && headers.contains_key(header::ORIGIN) {
        return Err(Stop::malformed("origin"));
    }
    let body = to_bytes(body, MAX_BODY_BYTES).await.map_err(|_| Stop::malformed("oversized"))?;
    // serde takes a list for a structure as well.
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(Stop::malformed("malformed"));
    }
    serde_json::from_slice(&body).map_err(|_| Stop::malformed("malformed"))
}
