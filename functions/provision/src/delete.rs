use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use axum::{extract::State, http::HeaderMap, response::Response};
use policy::Action;
use ports::{
    CertificateStatus, ChangeCertificate as _, DeleteIotPolicy as _, DeleteThing as _, Fault, Ledger as _,
    ReadCertificate as _, ReadIotPolicy as _, ReadRow as _, ReadThing as _, Row, SpendError, TakeRow as _,
};
use web::{Bearer, Caller};

use crate::{
    Ports, Service,
    answer::{Answer, ErrorBody},
    authorize::{Allowed, ask},
    detached::once_detached,
    path_name::PathName,
    record::Record,
    stop::Stop,
    thing::{all, certificate_id, none_where_missing, of_thing},
};

/// Deletes a thing.
///
/// Its certificates are detached; those that serve no other thing are deleted where the deployment says so, and likewise of their
/// policies those that nothing else has. What fails in the middle is taken up again by the next request.
#[utoipa::path(
    delete,
    path = "/things/{name}",
    operation_id = "deleteThing",
    tag = "provision",
    params(("name" = String, Path, description = "The thing's name"), ("Authorization" = String, Header, description = "`Bearer TOKEN`")),
    responses(
        (status = 204, description = "It is deleted"),
        (status = 401, description = "The token is not valid; from the gateway", content_type = "application/problem+json"),
        (status = 403, description = "Policy does not allow it", body = ErrorBody),
        (status = 404, description = "There is no such thing, and no deletion of it to take up", body = ErrorBody),
        (status = 409, description = "Something came to need what was being deleted", body = ErrorBody),
        (status = 429, description = "AWS asks for fewer requests; to be repeated", body = ErrorBody, headers(("Retry-After" = u64))),
        (status = 503, description = "Something that the broker needs does not answer; to be repeated", body = ErrorBody, headers(("Retry-After" = u64))),
    ),
)]
pub(crate) async fn delete<P: Ports>(
    State(service): State<Arc<Service<P>>>,
    caller: Caller,
    bearer: Bearer,
    PathName(name): PathName,
    headers: HeaderMap,
) -> Response {
    let mut record = Record::new("device:delete", name.clone(), caller, bearer);
    let ending = service.in_time(take_up(&service, &mut record, &name)).await;
    record.end(ending, &headers)
}

/// A deletion that is under way: what has to go with the thing. It is remembered until it is done, since what is detached
/// already can't be found by the thing any more.
#[derive(Debug)]
struct Deletion {
    certificates: BTreeSet<String>,
    policies: BTreeSet<String>,
}

async fn take_up<P: Ports>(service: &Service<P>, record: &mut Record, name: &str) -> Result<Answer, Stop> {
    let allowed = ask(service, record, Action::DeleteDevice(name)).await?;
    let earlier = service.ledger.row(&key(name)).await;
    let earlier = earlier.map_err(|fault| Stop::fault("ledger", &fault, &record.caller))?;
    let earlier = earlier.as_ref().map(Deletion::from_record);
    let found = match found(service, name).await {
        Ok(found) => Some(found),
        // The earlier request had come as far as the thing itself.
        Err(Fault::Missing) if earlier.is_some() => None,
        Err(fault) => return Err(of_thing("found", &fault, record)),
    };
    let certificates = earlier.iter().chain(&found).flat_map(|deletion| &deletion.certificates);
    let ids: BTreeSet<&str> = certificates.map(|arn| certificate_id(arn)).collect();
    record.detail = Some(format!("certificates: {}", Vec::from_iter(ids).join(" ")));
    let done = carry_out(service, name, earlier, found, &allowed).await;
    done.map_err(|fault| Stop::fault("delete", &fault, &record.caller))?;
    Ok(Answer::nothing())
}

/// What has to go with the thing as it is now.
async fn found<P: Ports>(service: &Service<P>, name: &str) -> Result<Deletion, Fault> {
    let certificates = service.iot.certificates_of(name).await?;
    let policies =
        all(certificates.iter().map(|arn| async { service.iot.policies_of(arn).await.or_else(none_where_missing) }));
    let policies = policies.await.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
    Ok(Deletion { certificates: certificates.into_iter().collect(), policies })
}

/// Deletes what an earlier request left; then what is found now, which gets a row of its own, and the thing.
async fn carry_out<P: Ports>(
    service: &Service<P>,
    name: &str,
    earlier: Option<Deletion>,
    found: Option<Deletion>,
    _: &Allowed,
) -> Result<(), Fault> {
    if let Some(earlier) = earlier {
        take_apart(service, name, &earlier).await?;
        service.ledger.take(&key(name)).await?;
    }
    if let Some(found) = found {
        remember(service, name, &found).await?;
        take_apart(service, name, &found).await?;
        once_detached(|| service.iot.delete_thing(name)).await?;
        service.ledger.take(&key(name)).await?;
    }
    Ok(())
}

async fn take_apart<P: Ports>(service: &Service<P>, name: &str, deletion: &Deletion) -> Result<(), Fault> {
    let (iot, config) = (&service.iot, &service.config);
    for arn in &deletion.certificates {
        iot.detach_thing(name, arn).await?;
        let things = iot.things_of(arn).await.or_else(none_where_missing)?;
        // AWS IoT may take seconds to see that the certificate is detached.
        if !(config.delete_certificates || config.delete_policies) || things.iter().any(|thing| thing != name) {
            continue;
        }
        let id = certificate_id(arn);
        if config.delete_certificates {
            match iot.set_status(id, CertificateStatus::Inactive).await {
                Err(Fault::Missing) => continue,
                // One that is revoked stays so, and can be deleted.
                Err(Fault::Conflict) => {}
                set => set?,
            }
        }
        for policy in iot.policies_of(arn).await.or_else(none_where_missing)? {
            iot.detach_policy(&policy, arn).await?;
        }
        if config.delete_certificates {
            once_detached(|| iot.delete_certificate(id)).await?;
        }
    }
    if config.delete_policies {
        for policy in &deletion.policies {
            match iot.has_targets(policy).await {
                Ok(true) | Err(Fault::Missing) => {}
                Ok(false) => iot.delete_policy(policy).await?,
                Err(fault) => return Err(fault),
            }
        }
    }
    Ok(())
}

fn key(name: &str) -> String {
    format!("deletion#{name}")
}

async fn remember<P: Ports>(service: &Service<P>, name: &str, deletion: &Deletion) -> Result<(), Fault> {
    match service.ledger.spend(Row { key: key(name), ttl: None, record: deletion.to_record() }).await {
        Ok(()) => Ok(()),
        // Another request for the same thing is at it.
        Err(SpendError::AlreadySpent) => Err(Fault::Conflict),
        Err(SpendError::Fault(fault)) => Err(fault),
    }
}

impl Deletion {
    fn to_record(&self) -> Vec<(&'static str, String)> {
        let join = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(" ");
        vec![("certificates", join(&self.certificates)), ("policies", join(&self.policies))]
    }

    fn from_record(record: &BTreeMap<String, String>) -> Self {
        // Neither an ARN nor the name of a policy holds a space.
        let split = |name: &str| {
            record.get(name).map(|names| names.split_whitespace().map(str::to_owned).collect()).unwrap_or_default()
        };
        Self { certificates: split("certificates"), policies: split("policies") }
    }
}
