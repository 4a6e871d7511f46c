//! The routes of the older service, for its clients: they are answered 200 whatever comes of it, and read it from the text.

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use protocol::{EnrollmentToken, Secret};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::value::RawValue;
use web::Caller;

use crate::{
    Ports, Service,
    body::{self, MediaType},
    challenge::{self, Asked},
    grant_request::run,
    record::Wire,
    revocation::RevocationRequest,
    stop::Stop,
    token::TokenRequest,
};

/// What `/registration` answers where a code is on its way.
const SENT: &str = "1111";

const NO_PROOF: &str = "Error, a code or a bearer token is needed";

/// A number, which clients send as a text or as a number of JSON. It is read as it is written: serial numbers have more digits than
/// other types hold.
#[derive(Debug)]
struct Number {
    text: String,
    is_text: bool,
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Box::<RawValue>::deserialize(deserializer)?;
        let written = written.get();
        if written.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(Self { text: written.to_owned(), is_text: false });
        }
        let text = serde_json::from_str(written).map_err(|_| D::Error::custom("not a number"))?;
        Ok(Self { text, is_text: true })
    }
}

impl Number {
    /// As a name, or a serial number.
    fn parse<T: std::str::FromStr>(&self) -> Result<T, Stop> {
        self.text.parse().map_err(|_| Stop::malformed("malformed"))
    }

    /// As a code. A number of JSON has lost the zeros that it began with.
    fn into_code(self) -> Secret<String> {
        Secret::new(if self.is_text { self.text } else { format!("{:0>8}", self.text) })
    }
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OlderRegistration {
    /// The subject: in the older service, a telephone number.
    #[schema(value_type = String)]
    number: Number,
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OlderTokenRequest {
    /// The subject.
    #[schema(value_type = String)]
    number: Number,
    /// The code that was sent to the subject; absent with an access token.
    #[schema(value_type = Option<String>)]
    token: Option<Number>,
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OlderRevocation {
    /// The certificate's serial number, decimal.
    #[schema(value_type = String)]
    number: Number,
    /// As in `/v2/enroll/revocation`.
    #[schema(value_type = Option<String>)]
    subject: Option<Number>,
    /// The code that was sent to the subject; absent with an access token.
    #[schema(value_type = Option<String>)]
    token: Option<Number>,
    /// As in `/v2/enroll/revocation`.
    certificate: Option<String>,
}

/// A one-time token, or `Error, ` and what is wrong.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct OlderAnswer {
    #[schema(value_type = String)]
    msg: Secret<String>,
}

/// As `/v2/enroll/challenge`, for clients of the older service, by the first channel for which the directory has an address.
#[utoipa::path(
    post,
    path = "/registration",
    operation_id = "olderRegistration",
    tag = "enroll",
    request_body(content = OlderRegistration, content_type = "application/json"),
    responses((status = 200, description = "`1111`, or `Error, ` and what is wrong", body = String, content_type = "text/plain")),
)]
pub(crate) async fn registration<P: Ports>(
    State(service): State<Arc<Service<P>>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let read = body::read(&headers, body, MediaType::Any).await;
    let asked = read.and_then(|OlderRegistration { number }| Ok(Asked { subject: number.parse()?, channel: None }));
    let text = match challenge::run(&service, &caller, Wire::Older, asked).await {
        Ok(()) => SENT.to_owned(),
        Err(stop) => said(&stop),
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, text).into_response()
}

/// As `/v2/enroll/token`, for clients of the older service.
#[utoipa::path(
    post,
    path = "/send_token",
    operation_id = "olderSendToken",
    tag = "enroll",
    params(("Authorization" = Option<String>, Header, description = "`Bearer TOKEN`, in place of a code")),
    request_body(content = OlderTokenRequest, content_type = "application/json"),
    responses((status = 200, description = "The one-time token, or `Error, ` and what is wrong", body = OlderAnswer)),
)]
pub(crate) async fn send_token<P: Ports>(
    State(service): State<Arc<Service<P>>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let read = body::read(&headers, body, MediaType::Any).await;
    let request = read.and_then(|OlderTokenRequest { number, token }| {
        let code = token.map(Number::into_code);
        Ok(TokenRequest { subject: number.parse()?, code, sans: Vec::new(), csr_sha256: None })
    });
    respond(run(&service, &caller, &headers, Wire::Older, request).await)
}

/// As `/v2/enroll/revocation`, for clients of the older service, which asked for no proof here.
#[utoipa::path(
    post,
    path = "/revoke_token",
    operation_id = "olderRevokeToken",
    tag = "enroll",
    params(("Authorization" = Option<String>, Header, description = "`Bearer TOKEN`, in place of a code")),
    request_body(content = OlderRevocation, content_type = "application/json"),
    responses((status = 200, description = "The one-time token, or `Error, ` and what is wrong", body = OlderAnswer)),
)]
pub(crate) async fn revoke_token<P: Ports>(
    State(service): State<Arc<Service<P>>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let read = body::read(&headers, body, MediaType::Any).await;
    let request = read.and_then(|OlderRevocation { number, subject, token, certificate }| {
        let subject = subject.map(|subject| subject.parse()).transpose()?;
        let code = token.map(Number::into_code);
        Ok(RevocationRequest { serial: number.parse()?, subject, code, certificate })
    });
    respond(run(&service, &caller, &headers, Wire::Older, request).await)
}

fn respond(ended: Result<EnrollmentToken, Stop>) -> Response {
    let msg = match ended {
        Ok(EnrollmentToken { token, .. }) => token,
        Err(stop) => Secret::new(said(&stop)),
    };
    ([(header::CACHE_CONTROL, "no-store")], Json(OlderAnswer { msg })).into_response()
}

fn said(stop: &Stop) -> String {
    if stop.reason == "no_proof" { NO_PROOF.to_owned() } else { format!("Error, {}", stop.problem.title()) }
}
