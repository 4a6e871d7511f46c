use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use crate::{body::CDF_MEDIA_TYPE, stop::Stop};

/// What a request gets. It may hold a private key.
pub(crate) struct Answer {
    status: StatusCode,
    body: Option<String>,
}

/// Why a request was not done.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ErrorBody<'a> {
    /// For people to read; not stable.
    error: &'a str,
    /// The certificate that was made before it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_id: Option<&'a str>,
    /// Whether nothing is left of that certificate. Where not, or not known, an operator has to look.
    #[serde(skip_serializing_if = "Option::is_none")]
    undone: Option<bool>,
}

impl Answer {
    /// With a body.
    pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Self {
        Self { status, body: Some(serde_json::to_string(body).expect("answers have texts as keys")) }
    }

    /// 204.
    pub(crate) const fn nothing() -> Self {
        Self { status: StatusCode::NO_CONTENT, body: None }
    }

    pub(crate) fn of_stop(stop: &Stop) -> Self {
        let Stop { text, undoing, .. } = stop;
        let (certificate_id, undone) = undoing.as_ref().map(|undoing| (undoing.id.as_str(), undoing.done)).unzip();
        Self::json(stop.status, &ErrorBody { error: text, certificate_id, undone })
    }

    /// The answer in the media type that the request speaks.
    pub(crate) fn respond(self, request: &HeaderMap) -> Response {
        let retry = matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        let mut response = match self.body {
            Some(body) => (self.status, [(header::CONTENT_TYPE, media_type(request))], body).into_response(),
            None => self.status.into_response(),
        };
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if retry {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

fn media_type(request: &HeaderMap) -> HeaderValue {
    let mut asked =
        [header::ACCEPT, header::CONTENT_TYPE].into_iter().filter_map(|name| request.get(name)?.to_str().ok());
    let cdf = asked.any(|asked| asked.contains(CDF_MEDIA_TYPE));
    HeaderValue::from_static(if cdf { CDF_MEDIA_TYPE } else { "application/json" })
}
