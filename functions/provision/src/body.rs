use axum::{
    body::Bytes,
    extract::rejection::BytesRejection,
    http::{HeaderMap, header},
};
use serde::de::DeserializeOwned;

use crate::stop::Stop;

/// The media type of the Connected Device Framework.
pub(crate) const CDF_MEDIA_TYPE: &str = "application/vnd.aws-cdf-v1.0+json";

/// The longest body of a request for one thing, in bytes.
pub(crate) const MAX_BODY_BYTES: usize = 64 * 1024;

/// The longest body of a request for many, in bytes: what AWS Lambda lets in is 6 MB.
pub(crate) const MAX_BULK_BYTES: usize = 4 * 1024 * 1024;

/// A body, unless it is longer than its route takes.
pub(crate) type Sent = Result<Bytes, BytesRejection>;

/// Reads a body. Members that the route does not know are refused.
pub(crate) fn read<T: DeserializeOwned>(headers: &HeaderMap, body: &Sent) -> Result<T, Stop> {
    let body = body.as_ref().map_err(|_| Stop::bad("oversized", "body is longer than this route takes"))?;
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if !["application/json", CDF_MEDIA_TYPE].iter().any(|known| essence.eq_ignore_ascii_case(known)) {
        return Err(Stop::bad("media_type", format!("content-type is neither application/json nor {CDF_MEDIA_TYPE}")));
    }
    serde_json::from_slice(body).map_err(|error| Stop::bad("malformed", format!("body is not accepted: {error}")))
}
