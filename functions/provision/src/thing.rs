use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use futures_util::StreamExt as _;
use policy::{Action, Device};
use ports::{Fault, ReadCertificate as _, ReadIotPolicy as _, ReadThing as _};
use serde::Serialize;
use serde_json::Value;
use web::{Bearer, Caller};

use crate::{
    Ports, Service,
    answer::{Answer, ErrorBody},
    authorize::ask,
    path_name::PathName,
    record::Record,
    stop::Stop,
};

/// A thing and what belongs to it.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Thing)]
pub(crate) struct ThingDetails {
    thing_name: String,
    arn: String,
    /// Its type, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    thing_type: Option<String>,
    attributes: BTreeMap<String, String>,
    certificates: Vec<CertificateDetails>,
    /// The policies of all its certificates, each once.
    policies: Vec<PolicyDetails>,
    /// The static groups that it is in itself.
    groups: Vec<GroupDetails>,
}

/// A certificate that is attached to a thing.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct CertificateDetails {
    certificate_id: String,
    arn: String,
    /// As AWS IoT has it: `ACTIVE`, `INACTIVE`, `REVOKED`.
    certificate_status: String,
    certificate_pem: String,
}

/// A policy of AWS IoT.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct PolicyDetails {
    policy_name: String,
    arn: String,
    /// Its default version.
    policy_document: Value,
}

/// A thing group.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct GroupDetails {
    group_name: String,
    arn: String,
    attributes: BTreeMap<String, String>,
}

/// A thing with its certificates, policies and groups.
#[utoipa::path(
    get,
    path = "/things/{name}",
    operation_id = "describeThing",
    tag = "provision",
    params(("name" = String, Path, description = "The thing's name"), ("Authorization" = String, Header, description = "`Bearer TOKEN`")),
    responses(
        (status = 200, description = "The thing", content((ThingDetails = "application/json"), (ThingDetails = "application/vnd.aws-cdf-v1.0+json"))),
        (status = 401, description = "The token is not valid; from the gateway", content_type = "application/problem+json"),
        (status = 403, description = "Policy does not allow it", body = ErrorBody),
        (status = 404, description = "There is no such thing", body = ErrorBody),
        (status = 429, description = "AWS asks for fewer requests", body = ErrorBody, headers(("Retry-After" = u64))),
        (status = 503, description = "Something that the broker needs does not answer", body = ErrorBody, headers(("Retry-After" = u64))),
    ),
)]
pub(crate) async fn thing<P: Ports>(
    State(service): State<Arc<Service<P>>>,
    caller: Caller,
    bearer: Bearer,
    PathName(name): PathName,
    headers: HeaderMap,
) -> Response {
    let mut record = Record::new("device:read", name.clone(), caller, bearer);
    let ending = service.in_time(read(&service, &mut record, &name)).await;
    record.end(ending, &headers)
}

async fn read<P: Ports>(service: &Service<P>, record: &mut Record, name: &str) -> Result<Answer, Stop> {
    let _allowed = ask(service, record, Action::ReadDevice(Device::Thing(name))).await?;
    match details(service, name).await {
        Ok(details) => Ok(Answer::json(StatusCode::OK, &details)),
        Err(fault) => Err(of_thing("thing", &fault, record)),
    }
}

/// What AWS IoT says of a thing by a name that it would not take is that there is none.
pub(crate) fn of_thing(step: &'static str, fault: &Fault, record: &Record) -> Stop {
    if matches!(fault, Fault::Missing | Fault::Invalid(_)) {
        Stop::missing("there is no such thing")
    } else {
        Stop::fault(step, fault, &record.caller)
    }
}

async fn details<P: Ports>(service: &Service<P>, name: &str) -> Result<ThingDetails, Fault> {
    let iot = &service.iot;
    let (thing, arns, groups) = tokio::try_join!(iot.thing(name), iot.certificates_of(name), iot.groups_of(name))?;
    let certificates = there(all(arns.iter().map(|arn| iot.certificate(certificate_id(arn)))).await)?;
    let policies = there(all(arns.iter().map(|arn| iot.policies_of(arn))).await)?;
    let names: BTreeSet<String> = policies.into_iter().flatten().collect();
    let policies = there(all(names.iter().map(|name| iot.policy(name))).await)?;
    let groups = there(all(groups.iter().map(|group| iot.group(group))).await)?;
    Ok(ThingDetails {
        thing_name: thing.name,
        arn: thing.arn,
        thing_type: thing.type_name,
        attributes: thing.attributes,
        certificates: certificates
            .into_iter()
            .map(|found| CertificateDetails {
                certificate_id: found.id,
                arn: found.arn,
                certificate_status: found.status,
                certificate_pem: found.pem,
            })
            .collect(),
        policies: policies
            .into_iter()
            .map(|found| PolicyDetails {
                policy_name: found.name,
                arn: found.arn,
                policy_document: serde_json::from_str(&found.document).unwrap_or(Value::String(found.document)),
            })
            .collect(),
        groups: groups
            .into_iter()
            .map(|found| GroupDetails { group_name: found.name, arn: found.arn, attributes: found.attributes })
            .collect(),
    })
}

/// Awaits many calls, a few at a time: AWS IoT allows an account some calls a second. What comes of them is in their order.
pub(crate) fn all<F: Future>(calls: impl Iterator<Item = F>) -> impl Future<Output = Vec<F::Output>> {
    let calls: Vec<F> = calls.collect();
    futures_util::stream::iter(calls).buffered(8).collect()
}

/// What is still there: things come apart while they are looked at.
fn there<T>(found: Vec<Result<T, Fault>>) -> Result<Vec<T>, Fault> {
    found.into_iter().filter(|found| !matches!(found, Err(Fault::Missing))).collect()
}

/// A list of what belongs to something that is not there.
pub(crate) fn none_where_missing(fault: Fault) -> Result<Vec<String>, Fault> {
    if matches!(fault, Fault::Missing) { Ok(Vec::new()) } else { Err(fault) }
}

/// The id in a certificate's ARN: `arn:aws:iot:<region>:<account>:cert/<id>`.
pub(crate) fn certificate_id(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}
