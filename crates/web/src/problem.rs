use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

/// An error answer (RFC 9457, `application/problem+json`).
///
/// Every variant has one status, one code and one text. What went wrong in the single case goes to the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// 400, the request is not one that the route takes. One sequence of bytes for every reason, as with [`Problem::Refused`].
    Malformed,
    /// 401, for whatever was wrong before the proof held, and for a request that was used before.
    ///
    /// The body is one sequence of bytes for every reason and every request: it does not even hold the request's id,
    /// which stands in the header `x-request-id`.
    Refused,
    /// 403, policy does not allow a want. The detail, where there is one, is encrypted for the caller.
    Denied {
        /// The denial, a compact JWE under the response key.
        detail: Option<String>,
    },
    /// 404, there is no such thing. The detail, where there is one, is encrypted for the caller.
    NotFound {
        /// The denial, a compact JWE under the response key.
        detail: Option<String>,
    },
    /// 405, the route has other methods.
    MethodNotAllowed,
    /// 429, the caller's address asks too often.
    TooManyRequests {
        /// When it may ask again, in seconds.
        retry_after: u64,
    },
    /// 503, something that the broker needs does not answer. Trying again makes sense.
    Unavailable,
}

/// The body of an error answer, a problem details object (RFC 9457 section 3.1).
#[derive(Serialize, utoipa::ToSchema)]
pub struct ProblemDetails<'a> {
    /// A stable code.
    r#type: &'static str,
    /// What the code means.
    title: &'static str,
    /// The answer's status.
    status: u16,
    /// For the caller alone: a compact JWE under the response key.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    /// Names the request in the audit log.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

impl Problem {
    /// The answer's status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::Refused => StatusCode::UNAUTHORIZED,
            Self::Denied { .. } => StatusCode::FORBIDDEN,
            Self::NotFound { .. } => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooManyRequests { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// What its code means: the text of every answer.
    #[must_use]
    pub const fn title(&self) -> &'static str {
        self.told().1
    }

    /// Its code and its text.
    const fn told(&self) -> (&'static str, &'static str) {
        match self {
            Self::Malformed => ("urn:countersign:problem:malformed", "the request is not one that this route takes"),
            Self::Refused => ("urn:countersign:problem:refused", "the request was refused"),
            Self::Denied { .. } => ("urn:countersign:problem:denied", "policy does not allow this"),
            Self::NotFound { .. } => ("urn:countersign:problem:not-found", "there is no such thing"),
            Self::MethodNotAllowed => ("urn:countersign:problem:method-not-allowed", "the route has other methods"),
            Self::TooManyRequests { .. } => ("urn:countersign:problem:too-many-requests", "too many requests"),
            Self::Unavailable => ("urn:countersign:problem:unavailable", "the broker cannot answer now"),
        }
    }

    /// The answer to the request of this id.
    #[must_use]
    pub fn respond(&self, request_id: &str) -> Response {
        let status = self.status();
        let (r#type, title) = self.told();
        let detail = match self {
            Self::Denied { detail } | Self::NotFound { detail } => detail.as_deref(),
            Self::Malformed
            | Self::Refused
            | Self::MethodNotAllowed
            | Self::TooManyRequests { .. }
            | Self::Unavailable => None,
        };
        let shown_id = (!matches!(self, Self::Malformed | Self::Refused)).then_some(request_id);
        let retry_after = match self {
            Self::TooManyRequests { retry_after } => Some(*retry_after),
            Self::Unavailable => Some(1),
            Self::Malformed | Self::Refused | Self::Denied { .. } | Self::NotFound { .. } | Self::MethodNotAllowed => {
                None
            }
        };
        let body = ProblemDetails { r#type, title, status: status.as_u16(), detail, request_id: shown_id };
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
