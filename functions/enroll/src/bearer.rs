use access_token::{TokenRefusal, VerifiedToken, bearer};
use axum::http::{HeaderMap, header};
use issuer::Unverified;

use crate::{Ports, Service, record::Record, stop::Stop};

/// The token of the one `Authorization` header, as it was sent; `None` where there is no such header. Of several, some program on the
/// way may read another than this one.
pub(crate) fn shown(headers: &HeaderMap) -> Option<Result<&str, Stop>> {
    let mut found = headers.get_all(header::AUTHORIZATION).iter();
    let token = match (found.next(), found.next()) {
        (None, _) => return None,
        (Some(header), None) => header.to_str().ok().and_then(bearer),
        (Some(_), Some(_)) => None,
    };
    Some(token.ok_or(Stop::refused(TokenRefusal::Malformed.code())))
}

/// Verifies an access token for the caller's address. The gateway's authorizer does not: it cannot be left out by those who have a
/// code.
pub(crate) async fn verify<P: Ports>(
    service: &Service<P>,
    record: &mut Record<'_>,
    token: &str,
) -> Result<VerifiedToken, Stop> {
    let caller = record.caller;
    match service.public_keys.verify(token, caller.source_ip, &service.clock).await {
        Ok(verified) => {
            record.bearer = Some(verified.claims().subject.clone());
            record.session = Some(verified.claims().session.clone());
            Ok(verified)
        }
        Err(Unverified::Refused(refusal)) => Err(Stop::refused(refusal.code())),
        Err(Unverified::Fault(fault)) => Err(Stop::fault("keys", &fault, caller)),
    }
}
