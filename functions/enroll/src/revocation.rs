use std::sync::Arc;

use axum::{body::Body, extract::State, http::HeaderMap, response::Response};
use protocol::{EnrollmentToken, Secret, SubjectName};
use serde::Deserialize;
use step::SerialNumber;
use web::{Caller, ProblemDetails};

use crate::{
    Ports, Service,
    certificate_owner::Owner,
    grant::{begin, grant},
    grant_request::{GrantRequest, answer},
    order::Order,
    proof::Credential,
    record::Record,
    stop::Stop,
};

/// A certificate that is to be revoked.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EnrollRevocationRequest)]
pub(crate) struct RevocationRequest {
    /// Its serial number, decimal.
    #[schema(value_type = String, pattern = "^(0|[1-9][0-9]{0,48})$")]
    pub(crate) serial: SerialNumber,
    /// Its common name; with a code.
    pub(crate) subject: Option<SubjectName>,
    /// The code that was sent to the subject; absent with an access token.
    #[schema(value_type = Option<String>, pattern = "^[0-9]{8}$")]
    pub(crate) code: Option<Secret<String>>,
    /// The certificate, the intermediates and the root, in this order, as PEM, 32 KiB at most. It has to be there with a code, and may be
    /// with an access token, so that policy can look at whose it is.
    pub(crate) certificate: Option<String>,
}

/// A one-time token for the revocation of a certificate.
///
/// It is given to the certificate's subject, for a code that was sent to it, where it shows the certificate; or to the bearer of an
/// access token; where policy allows it. A code is spent by it.
#[utoipa::path(
    post,
    path = "/v2/enroll/revocation",
    operation_id = "enrollRevocation",
    tag = "enroll",
    params(("Authorization" = Option<String>, Header, description = "`Bearer TOKEN`, in place of a code")),
    request_body(content = RevocationRequest, content_type = "application/json"),
    responses(
        (status = 200, description = "The token, and the CA that takes it", body = EnrollmentToken),
        (status = 400, description = "Something is missing or malformed, or there are both a code and an access token; one fixed body", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 401, description = "As for /v2/enroll/token, or the certificate is not one of the CA's, of this number and subject; one fixed body", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 403, description = "Policy does not allow it", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 429, description = "This address showed codes too often", body = ProblemDetails, content_type = "application/problem+json", headers(("Retry-After" = u64))),
        (status = 503, description = "Something that the broker needs does not answer, or no step-ca is set up", body = ProblemDetails, content_type = "application/problem+json", headers(("Retry-After" = u64))),
    ),
)]
pub(crate) async fn revocation<P: Ports>(
    State(service): State<Arc<Service<P>>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Response {
    answer::<P, RevocationRequest>(&service, &caller, &headers, body).await
}

impl GrantRequest for RevocationRequest {
    const ACTION: &'static str = "enroll:revocation";

    async fn grant<P: Ports>(
        self,
        service: &Service<P>,
        record: &mut Record<'_>,
        headers: &HeaderMap,
    ) -> Result<EnrollmentToken, Stop> {
        let RevocationRequest { serial, subject, code, certificate } = self;
        record.serial = Some(serial.to_string());
        record.subject.clone_from(&subject);
        // Whose certificate it is, the certificate tells: a name without one, or a code without a name, would be believed by nobody.
        let code = match (code, subject.clone(), certificate.is_some()) {
            (None, None, _) | (None, Some(_), true) => None,
            (Some(code), Some(subject), true) => Some((subject, code)),
            (None, Some(_), false) | (Some(_), _, _) => return Err(Stop::malformed("malformed")),
        };
        let credential = Credential::read(headers, code)?;
        let ready = begin(service, record, &credential, certificate.is_some()).await?;
        let owner = match certificate {
            Some(certificate) => {
                let owner = Owner::of(&certificate, &serial, &ready.signer.ca().fingerprint);
                let owner =
                    owner.filter(|owner| subject.as_ref().is_none_or(|subject| owner.name() == subject.as_str()));
                Some(owner.ok_or(Stop::refused("wrong_certificate"))?)
            }
            None => None,
        };
        record.subject = owner.as_ref().and_then(|owner| owner.name().parse().ok());
        grant(service, record, &ready, Order::Revoke { serial, owner }, credential).await
    }
}
