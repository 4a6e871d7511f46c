use std::time::Duration;

use http::{Http, MAX_TRIES, pause};
use protocol::{AltName, CsrDigest, EnrollmentToken, Secret, SubjectName};
use reqwest::{
    RequestBuilder, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};
use serde::{Deserialize, Serialize};
use step::SerialNumber;
use tokio::time::Instant;
use url::Url;

use crate::{
    BearerToken, BrokerUrl, Error,
    enrollment::{Channel, Code, EnrollmentError, OneTimeToken},
    send::{NoReply, Reply, receive},
};

/// The largest answer, in bytes: a token whose header holds a chain.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// What the type of the broker's problems begins with (RFC 9457). A gateway in front of it has refusals of its own.
const PROBLEM: &str = "urn:countersign:problem:";

/// A client of the broker as a registration authority.
///
/// What spends nothing is asked again after throttling, server errors and network errors; what sends a code, or spends one, where
/// no connection was made.
#[derive(Debug)]
pub struct EnrollmentClient {
    http: Http,
    url: BrokerUrl,
    timeout: Duration,
}

/// How a caller proves itself.
#[derive(Clone, Copy, Debug)]
pub enum Proof<'a> {
    /// By a code that was sent to the subject.
    Code(&'a Code),
    /// By an access token.
    Bearer(&'a BearerToken),
}

/// For which certificate a token is wanted.
#[derive(Clone, Copy, Debug)]
pub struct TokenOrder<'a> {
    /// Its common name.
    pub subject: &'a SubjectName,
    /// Its other names; none: the subject alone.
    pub sans: &'a [AltName],
    /// The request that it is good for.
    pub csr: Option<&'a CsrDigest>,
}

/// Which certificate is to be revoked.
#[derive(Clone, Copy, Debug)]
pub struct RevocationOrder<'a> {
    /// Its serial number.
    pub serial: &'a SerialNumber,
    /// The certificate, what stands above it, and the root, in PEM: with a code, it shows whose it is.
    pub certificate: Option<&'a str>,
    /// Its common name, with a code.
    pub subject: Option<&'a SubjectName>,
}

#[derive(Serialize)]
struct ChallengeRequest<'a> {
    subject: &'a SubjectName,
    channel: Channel,
}

#[derive(Deserialize)]
struct Challenged {
    expires_in: u64,
}

#[derive(Serialize)]
struct TokenRequest<'a> {
    subject: &'a SubjectName,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    sans: &'a [AltName],
    #[serde(skip_serializing_if = "Option::is_none")]
    csr_sha256: Option<&'a CsrDigest>,
}

#[derive(Serialize)]
struct RevocationRequest<'a> {
    serial: &'a SerialNumber,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a SubjectName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<&'a str>,
}

/// The member of a problem (RFC 9457) that a client uses.
#[derive(Deserialize)]
struct Problem {
    r#type: String,
}

impl EnrollmentClient {
    /// A client of this broker.
    #[must_use]
    pub fn new(url: BrokerUrl) -> Self {
        Self { http: Http::default(), url, timeout: Duration::from_secs(30) }
    }

    /// How long a call may take, tries and pauses included. By default 30 seconds.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Has a code sent to a subject, and gives for how many seconds it is good. Whether there is such a subject, and whether it has
    /// an address there, the broker does not tell.
    ///
    /// # Errors
    /// [`EnrollmentError::TooMany`] where a code is open; [`EnrollmentError::Missing`] where there is no such channel.
    pub async fn challenge(&self, subject: &SubjectName, channel: Channel) -> Result<u64, Error> {
        let body = ChallengeRequest { subject, channel };
        let reply = self.ask("challenge", None, &body).await?;
        let Challenged { expires_in } = answer(&reply, StatusCode::ACCEPTED)?;
        Ok(expires_in)
    }

    /// A token for a certificate.
    ///
    /// # Errors
    /// [`EnrollmentError::Refused`], [`EnrollmentError::Denied`]; [`EnrollmentError::Unknown`] where a code may be used up.
    pub async fn token(&self, order: &TokenOrder<'_>, proof: Proof<'_>) -> Result<OneTimeToken, Error> {
        let TokenOrder { subject, sans, csr } = *order;
        let body = TokenRequest { subject, code: proof.code(), sans, csr_sha256: csr };
        let reply = self.ask("token", proof.bearer(), &body).await?;
        Ok(answer::<EnrollmentToken>(&reply, StatusCode::OK)?.try_into()?)
    }

    /// A token for the revocation of a certificate.
    ///
    /// # Errors
    /// As [`EnrollmentClient::token`].
    pub async fn revocation(&self, order: &RevocationOrder<'_>, proof: Proof<'_>) -> Result<OneTimeToken, Error> {
        let RevocationOrder { serial, certificate, subject } = *order;
        let body = RevocationRequest { serial, subject, code: proof.code(), certificate };
        let reply = self.ask("revocation", proof.bearer(), &body).await?;
        Ok(answer::<EnrollmentToken>(&reply, StatusCode::OK)?.try_into()?)
    }

    fn request(
        &self,
        url: &Url,
        bearer: Option<&BearerToken>,
        body: &Secret<Vec<u8>>,
    ) -> Result<RequestBuilder, Error> {
        let request = self.http.client(url).map_err(Error::Http)?.post(url.clone());
        let request = request.header(CONTENT_TYPE, "application/json");
        let request = request.header(ACCEPT, "application/json, application/problem+json").body(body.expose().clone());
        let Some(bearer) = bearer else { return Ok(request) };
        let token = Secret::new(format!("Bearer {}", bearer.expose()));
        let mut token = HeaderValue::from_str(token.expose()).expect("a token is base64url");
        token.set_sensitive(true);
        Ok(request.header(AUTHORIZATION, token))
    }

    /// Asks until there is an answer, or another try is not worth it, allowed, or in time. With a bearer token nothing is spent.
    async fn ask(&self, route: &str, bearer: Option<&BearerToken>, body: &impl Serialize) -> Result<Reply, Error> {
        let url = self.url.route(&format!("v2/enroll/{route}"));
        let body = Secret::new(serde_json::to_vec(body).expect("a request serializes"));
        let may_repeat = bearer.is_some();
        let deadline = Instant::now() + self.timeout;
        let mut tries = 1;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let (error, asked_for) = match receive(self.request(&url, bearer, &body)?, MAX_ANSWER_BYTES, left).await {
                Ok(reply) => match reply.status.as_u16() {
                    status @ (429 | 500..) if may_repeat => (Error::Unavailable { status, tries }, reply.retry_after),
                    // Of a gateway between, which does not know what became of it.
                    status @ 500.. if !is_problem(&reply) => {
                        return Err(EnrollmentError::Unknown(format!("status {status}").into()).into());
                    }
                    _ => return Ok(reply),
                },
                Err(NoReply::TooLarge { status }) => return Err(Error::Unexpected { status }),
                Err(NoReply::Lost(source)) if !may_repeat && !source.is_connect() => {
                    return Err(EnrollmentError::Unknown(source.without_url().into()).into());
                }
                Err(NoReply::Lost(_)) if Instant::now() >= deadline => return Err(Error::TimedOut),
                Err(NoReply::Lost(source)) => (Error::Unreachable { tries, source }, None),
            };
            let wait = pause(tries, asked_for);
            if tries >= MAX_TRIES || Instant::now() + wait >= deadline {
                return Err(error);
            }
            tokio::time::sleep(wait).await;
            tries += 1;
        }
    }
}

impl<'a> Proof<'a> {
    fn code(self) -> Option<&'a str> {
        if let Self::Code(code) = self { Some(code.expose()) } else { None }
    }

    fn bearer(self) -> Option<&'a BearerToken> {
        if let Self::Bearer(token) = self { Some(token) } else { None }
    }
}

fn answer<T: serde::de::DeserializeOwned>(reply: &Reply, expected: StatusCode) -> Result<T, Error> {
    if reply.status != expected {
        return Err(refusal(reply));
    }
    serde_json::from_slice(reply.body.expose()).map_err(|_| reply.unexpected())
}

/// Whether it is the broker that refuses.
fn is_problem(reply: &Reply) -> bool {
    let problem: Option<Problem> = serde_json::from_slice(reply.body.expose()).ok();
    problem.is_some_and(|problem| problem.r#type.starts_with(PROBLEM))
}

fn refusal(reply: &Reply) -> Error {
    let request_id = reply.request_id.clone();
    let status = reply.status.as_u16();
    if !is_problem(reply) {
        return if status == 429 { Error::Unavailable { status, tries: 1 } } else { reply.unexpected() };
    }
    let error = match status {
        400 => EnrollmentError::Invalid { request_id },
        401 => EnrollmentError::Refused { request_id },
        403 => EnrollmentError::Denied { request_id },
        404 => EnrollmentError::Missing,
        429 => EnrollmentError::TooMany { retry_after: reply.retry_after.map(|wait| wait.as_secs()) },
        500.. => return Error::Unavailable { status, tries: 1 },
        _ => return reply.unexpected(),
    };
    error.into()
}
