use std::sync::Arc;

use axum::{body::Body, extract::State, http::HeaderMap, response::Response};
use protocol::{AltName, CsrDigest, EnrollmentToken, MAX_ALT_NAMES, Secret, SubjectName};
use serde::Deserialize;
use web::{Caller, ProblemDetails};

use crate::{
    Ports, Service,
    grant::{begin, grant},
    grant_request::{GrantRequest, answer},
    order::Order,
    proof::Credential,
    record::Record,
    stop::Stop,
};

/// A certificate that is wanted.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EnrollTokenRequest)]
pub(crate) struct TokenRequest {
    /// Its common name.
    pub(crate) subject: SubjectName,
    /// The code that was sent to the subject; absent with an access token.
    #[schema(value_type = Option<String>, pattern = "^[0-9]{8}$")]
    pub(crate) code: Option<Secret<String>>,
    /// Its other names, none twice, 32 at most: host names, IP addresses, mail addresses, URIs. None: the subject alone.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub(crate) sans: Vec<AltName>,
    /// SHA-256 of the DER of the one certificate signing request that the token is for, 64 lower-case hex digits. A step-ca before
    /// 0.26 does not look at it.
    #[schema(value_type = Option<String>)]
    pub(crate) csr_sha256: Option<CsrDigest>,
}

/// A one-time token for a certificate.
///
/// It is given to the subject, for a code that was sent to it, or to the bearer of an access token; where policy allows each name
/// that the certificate would have. A code is spent by it. step-ca takes the token once, within five minutes.
#[utoipa::path(
    post,
    path = "/v2/enroll/token",
    operation_id = "enrollToken",
    tag = "enroll",
    params(("Authorization" = Option<String>, Header, description = "`Bearer TOKEN`, in place of a code")),
    request_body(content = TokenRequest, content_type = "application/json"),
    responses(
        (status = 200, description = "The token, and the CA that takes it", body = EnrollmentToken),
        (status = 400, description = "Something is missing or malformed, or there are both a code and an access token; one fixed body", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 401, description = "The code is wrong, or was used or tried too often, or none is open; or the access token is not valid here; one fixed body", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 403, description = "Policy does not allow it", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 429, description = "This address showed codes too often", body = ProblemDetails, content_type = "application/problem+json", headers(("Retry-After" = u64))),
        (status = 503, description = "Something that the broker needs does not answer, or no step-ca is set up", body = ProblemDetails, content_type = "application/problem+json", headers(("Retry-After" = u64))),
    ),
)]
pub(crate) async fn token<P: Ports>(
    State(service): State<Arc<Service<P>>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Response {
    answer::<P, TokenRequest>(&service, &caller, &headers, body).await
}

impl GrantRequest for TokenRequest {
    const ACTION: &'static str = "enroll:token";

    async fn grant<P: Ports>(
        self,
        service: &Service<P>,
        record: &mut Record<'_>,
        headers: &HeaderMap,
    ) -> Result<EnrollmentToken, Stop> {
        let TokenRequest { subject, code, sans, csr_sha256: csr } = self;
        record.subject = Some(subject.clone());
        if sans.len() > MAX_ALT_NAMES || (1..sans.len()).any(|index| sans[..index].contains(&sans[index])) {
            return Err(Stop::malformed("malformed_names"));
        }
        let credential = Credential::read(headers, code.map(|code| (subject.clone(), code)))?;
        let ready = begin(service, record, &credential, false).await?;
        grant(service, record, &ready, Order::Sign { subject, sans, csr }, credential).await
    }
}
