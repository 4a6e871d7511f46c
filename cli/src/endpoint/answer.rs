use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use protocol::Secret;

/// Bytes of an answer, which are wiped when the last of them is sent.
struct Wiped(Secret<Vec<u8>>);

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        self.0.expose()
    }
}

/// An answer in JSON.
pub(crate) fn json(status: StatusCode, body: Secret<Vec<u8>>) -> Response {
    of_type(status, "application/json", body)
}

/// An answer that nothing on the way keeps, and that no browser takes for something else.
pub(crate) fn of_type(status: StatusCode, content_type: &'static str, body: Secret<Vec<u8>>) -> Response {
    let mut response = Response::new(Body::from(Bytes::from_owner(Wiped(body))));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
