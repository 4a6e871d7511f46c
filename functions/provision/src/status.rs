use std::{collections::BTreeSet, sync::Arc};

use axum::{extract::State, http::HeaderMap, response::Response};
use policy::Action;
use ports::{CertificateStatus, ChangeCertificate as _, Fault, ReadCertificate as _, ReadThing as _};
use serde::Deserialize;
use web::{Bearer, Caller};

use crate::{
    Ports, Service,
    answer::{Answer, ErrorBody},
    authorize::ask,
    body::{self, Sent},
    path_name::PathName,
    record::Record,
    stop::Stop,
    thing::{all, certificate_id, none_where_missing, of_thing},
};

/// What the certificates of a thing are to be.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Change {
    certificate_status: NewStatus,
}

/// The status of a certificate (AWS IoT `UpdateCertificate`).
#[derive(Clone, Copy, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "UPPERCASE")]
enum NewStatus {
    Active,
    Inactive,
    Revoked,
}

/// Sets the status of all certificates of a thing.
///
/// A certificate that serves other things as well is changed where policy allows it for each of them; else nothing is.
#[utoipa::path(
    patch,
    path = "/things/{name}/certificates",
    operation_id = "updateThingCertificates",
    tag = "provision",
    request_body(content((Change = "application/json"), (Change = "application/vnd.aws-cdf-v1.0+json"))),
    params(("name" = String, Path, description = "The thing's name"), ("Authorization" = String, Header, description = "`Bearer TOKEN`")),
    responses(
        (status = 204, description = "They have it"),
        (status = 400, description = "The request is not valid", body = ErrorBody),
        (status = 401, description = "The token is not valid; from the gateway", content_type = "application/problem+json"),
        (status = 403, description = "Policy does not allow it, for this thing or for another that one of its certificates serves", body = ErrorBody),
        (status = 404, description = "There is no such thing", body = ErrorBody),
        (status = 409, description = "One of them is revoked, which stays so; all others have it", body = ErrorBody),
        (status = 429, description = "AWS asks for fewer requests", body = ErrorBody, headers(("Retry-After" = u64))),
        (status = 503, description = "Something that the broker needs does not answer; some certificates may have it", body = ErrorBody, headers(("Retry-After" = u64))),
    ),
)]
pub(crate) async fn status<P: Ports>(
    State(service): State<Arc<Service<P>>>,
    caller: Caller,
    bearer: Bearer,
    PathName(name): PathName,
    headers: HeaderMap,
    body: Sent,
) -> Response {
    let mut record = Record::new("device:update", name.clone(), caller, bearer);
    let ending = service.in_time(change(&service, &mut record, &name, &headers, &body)).await;
    record.end(ending, &headers)
}

async fn change<P: Ports>(
    service: &Service<P>,
    record: &mut Record,
    name: &str,
    headers: &HeaderMap,
    body: &Sent,
) -> Result<Answer, Stop> {
    let Change { certificate_status } = body::read(headers, body)?;
    let status = match certificate_status {
        NewStatus::Active => CertificateStatus::Active,
        NewStatus::Inactive => CertificateStatus::Inactive,
        NewStatus::Revoked => CertificateStatus::Revoked,
    };
    let action = |thing| Action::UpdateDevice { thing, status: status.name() };
    let _allowed = ask(service, record, action(name)).await?;
    let found = service.iot.certificates_of(name).await;
    let certificates = found.map_err(|fault| of_thing("thing", &fault, record))?;
    let things =
        all(certificates.iter().map(|arn| async { service.iot.things_of(arn).await.or_else(none_where_missing) }))
            .await;
    let things = things.into_iter().collect::<Result<Vec<_>, _>>();
    let things = things.map_err(|fault| Stop::fault("things_of", &fault, &record.caller))?;
    let others: BTreeSet<String> = things.into_iter().flatten().filter(|thing| thing != name).collect();
    for other in &others {
        record.detail = Some(format!("{}, for {other} as well", status.name()));
        ask(service, record, action(other)).await?;
    }
    let ids: Vec<&str> = certificates.iter().map(|arn| certificate_id(arn)).collect();
    record.detail = Some(format!("{} {}", status.name(), ids.join(" ")));
    // Each is tried: one that is revoked stays so, and must not shield the others.
    let set = all(certificates.iter().map(|arn| service.iot.set_status(certificate_id(arn), status))).await;
    let faults = set.into_iter().filter_map(Result::err).filter(|fault| !matches!(fault, Fault::Missing));
    let (revoked, others): (Vec<Fault>, Vec<Fault>) = faults.partition(|fault| matches!(fault, Fault::Conflict));
    match (others.first(), revoked.is_empty()) {
        (Some(fault), _) => Err(Stop::fault("set_status", fault, &record.caller)),
        (None, false) => Err(Stop::conflict("a revoked certificate stays revoked; all others are set")),
        (None, true) => Ok(Answer::nothing()),
    }
}
