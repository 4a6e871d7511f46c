use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use axum::{
    extract::{Path, State},
    http::HeaderMap,
    response::Response,
};
use policy::{Action, Device, DeviceVerb};
use ports::{
    CertificateStatus, ChangeCertificate as _, DeleteIotPolicy as _, DeleteThing as _, Fault, Ledger as _,
    ReadCertificate as _, ReadIotPolicy as _, ReadRow as _, ReadThing as _, Row, SpendError, TakeRow as _,
};
use web::{Bearer, Caller};

use crate::{
    Ports, Service,
    answer::{Answer, ErrorBody},
    authorize::{Allowed, ask},
    record::Record,
    stop::Stop,
    thing::{certificate_id, of_thing},
};

/// Deletes a thing.
///
/// Its certificates are detached; those that serve no other thing are deleted where the deployment says so, and of their policies
/// those that nothing else has, likewise. What fails in the middle is taken up again by the next request.
#[utoipa::path(
    delete,
    path = "/things/{name}",
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
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    let mut record = Record::new(DeviceVerb::Delete.name(), name.clone(), caller, bearer);
    let ending = service.in_time(take_up(&service, &mut record, &name)).await;
    record.end(ending, &headers)
}

/// A deletion that is under way: what has to go with the thing. It is remembered until it is done, since what is detached
/// already can't be found by the thing any more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Deletion {
    certificates: BTreeSet<String>,
    policies: BTreeSet<String>,
}

async fn take_up<P: Ports>(service: &Service<P>, record: &mut Record, name: &str) -> Result<Answer, Stop> {
    let allowed = ask(service, record, Action::Device(DeviceVerb::Delete, Device::Thing(name))).await?;
    let deletion = match plan(service, name).await {
        Ok(Some(deletion)) => deletion,
        Ok(None) => return Err(Stop::missing("there is no such thing")),
        Err(fault) => return Err(of_thing("plan", &fault, record)),
    };
    let ids: Vec<&str> = deletion.certificates.iter().map(|arn| certificate_id(arn)).collect();
    record.detail = Some(format!("certificates: {}", ids.join(" ")));
    let done = carry_out(service, name, &deletion, &allowed).await;
    done.map_err(|fault| Stop::fault("delete", &fault, &record.caller))?;
    Ok(Answer::nothing())
}

/// What has to go, as it is attached now and as an earlier request found it; `None` where there is neither a thing nor an earlier
/// request. It is in the ledger before anything is done.
async fn plan<P: Ports>(service: &Service<P>, name: &str) -> Result<Option<Deletion>, Fault> {
    let iot = &service.iot;
    let earlier = service.ledger.row(&key(name)).await?.as_ref().map(Deletion::from_record);
    let found = async {
        let mut found =
            Deletion { certificates: iot.certificates_of(name).await?.into_iter().collect(), ..Deletion::default() };
        for arn in &found.certificates {
            found.policies.extend(iot.policies_of(arn).await?);
        }
        Ok(found)
    };
    let found = match found.await {
        Ok(found) => found,
        Err(Fault::Missing) => return Ok(earlier),
        Err(fault) => return Err(fault),
    };
    let all = earlier.as_ref().map_or_else(|| found.clone(), |earlier| earlier.and(&found));
    if earlier.as_ref() != Some(&all) {
        if earlier.is_some() {
            service.ledger.take(&key(name)).await?;
        }
        remember(service, name, &all).await?;
    }
    Ok(Some(all))
}

async fn carry_out<P: Ports>(service: &Service<P>, name: &str, deletion: &Deletion, _: &Allowed) -> Result<(), Fault> {
    let (iot, config) = (&service.iot, &service.config);
    for arn in &deletion.certificates {
        iot.detach_thing(name, arn).await?;
        if !config.delete_certificates || !iot.things_of(arn).await.or_else(none_where_missing)?.is_empty() {
            continue;
        }
        let id = certificate_id(arn);
        match iot.set_status(id, CertificateStatus::Inactive).await {
            Err(Fault::Missing) => continue,
            set => set?,
        }
        for policy in iot.policies_of(arn).await? {
            iot.detach_policy(&policy, arn).await?;
        }
        iot.delete_certificate(id).await?;
    }
    if config.delete_certificates && config.delete_policies {
        for policy in &deletion.policies {
            match iot.has_targets(policy).await {
                Ok(true) | Err(Fault::Missing) => {}
                Ok(false) => iot.delete_policy(policy).await?,
                Err(fault) => return Err(fault),
            }
        }
    }
    iot.delete_thing(name).await?;
    service.ledger.take(&key(name)).await.map(|_| ())
}

fn none_where_missing(fault: Fault) -> Result<Vec<String>, Fault> {
    if matches!(fault, Fault::Missing) { Ok(Vec::new()) } else { Err(fault) }
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
    fn and(&self, other: &Self) -> Self {
        Self { certificates: &self.certificates | &other.certificates, policies: &self.policies | &other.policies }
    }

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
