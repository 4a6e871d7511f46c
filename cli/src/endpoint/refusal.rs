use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use protocol::Secret;
use serde::Serialize;

use crate::endpoint::answer::json;

/// Why a request is not answered with what it asks for. All of them have one form, that of AWS Secrets Manager (`__type` and
/// `message`; `code` besides, which SDKs show where credentials are refused), and none holds anything that the caller sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Something passed it on.
    Forwarded,
    /// It is meant for another host, or does not say for which.
    ForeignHost,
    /// A page in a browser sent it.
    FromAPage,
    /// It has a body.
    Body,
    /// It is no GET.
    Method,
    /// It has not the token.
    Token,
    /// There is no such route.
    NoRoute,
    /// Its query is not understood.
    Query(&'static str),
    /// The configuration has no such secret.
    NoSecret,
    /// The configuration has no such role.
    NoRole,
    /// It did not come yet, or is past its use-by.
    NotUsable,
}

#[derive(Serialize)]
struct Body {
    #[serde(rename = "__type")]
    kind: &'static str,
    code: &'static str,
    message: &'static str,
}

impl Refusal {
    pub(crate) const fn status(self) -> StatusCode {
        match self {
            Self::Forwarded
            | Self::ForeignHost
            | Self::FromAPage
            | Self::Body
            | Self::Query(_)
            // Not 404: AWS Secrets Manager says it so.
            | Self::NoSecret => StatusCode::BAD_REQUEST,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Token => StatusCode::FORBIDDEN,
            Self::NoRoute | Self::NoRole => StatusCode::NOT_FOUND,
            Self::NotUsable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Forwarded | Self::ForeignHost | Self::FromAPage | Self::Body => "InvalidRequestException",
            Self::Method => "MethodNotAllowedException",
            Self::Token => "AccessDeniedException",
            Self::Query(_) => "InvalidParameterException",
            Self::NoRoute | Self::NoSecret | Self::NoRole => "ResourceNotFoundException",
            Self::NotUsable => "ServiceUnavailableException",
        }
    }

    pub(crate) const fn message(self) -> &'static str {
        match self {
            Self::Forwarded => "requests that were passed on are refused",
            Self::ForeignHost => "the header Host names another host",
            Self::FromAPage => "requests of web pages are refused",
            Self::Body => "requests have no body",
            Self::Method => "only GET is answered",
            Self::Token => "the token is missing or wrong",
            Self::NoRoute => "there is no such route",
            Self::Query(what) => what,
            Self::NoSecret => "the agent's configuration has no such secret, whole and of this version",
            Self::NoRole => "the agent's configuration has no such role",
            Self::NotUsable => "the agent has no value that may be used now",
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = Body { kind: self.code(), code: self.code(), message: self.message() };
        let mut response = json(self.status(), Secret::new(serde_json::to_vec(&body).expect("texts serialize")));
        if self == Self::Method {
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET"));
        }
        response
    }
}
