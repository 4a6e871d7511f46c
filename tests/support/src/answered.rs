use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode},
};
use serde_json::Value;
use tower::ServiceExt as _;
use web::Caller;

/// The body of every answer to what a route does not take.
pub const MALFORMED: &str = r#"{"type":"urn:countersign:problem:malformed","title":"the request is not one that this route takes","status":400}"#;

/// The body of every refusal before the proof.
pub const REFUSED: &str =
    r#"{"type":"urn:countersign:problem:refused","title":"the request was refused","status":401}"#;

/// What a router answered.
#[derive(Debug)]
pub struct Answered {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, which is text at every route.
    pub body: String,
}

/// Asks a router as the request with this id, from this address.
pub async fn ask(router: &Router, source_ip: &str, request_id: &str, mut request: Request<Body>) -> Answered {
    let caller = Caller { source_ip: source_ip.parse().unwrap(), request_id: request_id.to_owned() };
    request.extensions_mut().insert(caller);
    let (parts, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    Answered { status: parts.status, headers: parts.headers, body: String::from_utf8(body.to_vec()).unwrap() }
}

impl Answered {
    /// The body, which has to be JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// A header, where there is one.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Everything that a client sees, for comparisons.
    #[must_use]
    pub fn told(&self) -> (StatusCode, Vec<(String, String)>, String) {
        let headers = self.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        (self.status, headers.collect(), self.body.clone())
    }
}
