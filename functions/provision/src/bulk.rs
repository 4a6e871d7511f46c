use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use policy::Action;
use ports::{Ledger as _, Precondition, RegistrationTasks as _, WriteObject as _};
use protocol::{Random as _, SystemRandom};
use serde::{Deserialize, Serialize};
use web::{Bearer, Caller};

use crate::{
    Ports, Service, TemplateId,
    answer::{Answer, ErrorBody},
    authorize::ask,
    body::{self, Sent},
    record::Record,
    stop::Stop,
    templates::{check_parameters, template},
};

/// How many things one request may have registered.
const MAX_THINGS: usize = 10_000;

/// The prefix of the input of tasks.
pub(crate) const PREFIX: &str = "bulk/";

/// Things to register.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(as = BulkProvisionThingsRequest)]
pub(crate) struct Things {
    /// The template's id. It or `groupPath`.
    provisioning_template_id: Option<String>,
    /// As for one thing.
    group_path: Option<String>,
    /// The template's parameters, for each thing: 1 to 10,000.
    parameters: Vec<BTreeMap<String, String>>,
}

/// A task that was started.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = BulkProvisionThingsResponse)]
pub(crate) struct Started {
    /// Its id in AWS IoT.
    task_id: String,
}

/// Has many things registered by a template, which must not have a certificate made for each.
///
/// AWS IoT runs one such task at a time for an account, and refuses what it does not run.
#[utoipa::path(
    post,
    path = "/bulkthings",
    operation_id = "startBulkProvisioning",
    tag = "provision",
    request_body(content((Things = "application/json"), (Things = "application/vnd.aws-cdf-v1.0+json"))),
    params(("Authorization" = String, Header, description = "`Bearer TOKEN`")),
    responses(
        (status = 201, description = "A task was started", content((Started = "application/json"), (Started = "application/vnd.aws-cdf-v1.0+json"))),
        (status = 400, description = "The request or the template is not valid, or AWS IoT refuses it", body = ErrorBody),
        (status = 401, description = "The token is not valid; from the gateway", content_type = "application/problem+json"),
        (status = 403, description = "Policy does not allow it", body = ErrorBody),
        (status = 429, description = "AWS asks for fewer requests", body = ErrorBody, headers(("Retry-After" = u64))),
        (status = 503, description = "Something that the broker needs does not answer", body = ErrorBody, headers(("Retry-After" = u64))),
    ),
)]
pub(crate) async fn bulk<P: Ports>(
    State(service): State<Arc<Service<P>>>,
    caller: Caller,
    bearer: Bearer,
    headers: HeaderMap,
    body: Sent,
) -> Response {
    let mut record = Record::new("device:bulk", String::new(), caller, bearer);
    let ending = service.in_time(start(&service, &mut record, &headers, &body)).await;
    record.end(ending, &headers)
}

async fn start<P: Ports>(
    service: &Service<P>,
    record: &mut Record,
    headers: &HeaderMap,
    body: &Sent,
) -> Result<Answer, Stop> {
    let things: Things = body::read(headers, body)?;
    if !(1..=MAX_THINGS).contains(&things.parameters.len()) {
        return Err(Stop::bad("malformed", "parameters does not hold 1 to 10000 things"));
    }
    let (id, template) =
        template(service, things.provisioning_template_id.as_deref(), things.group_path.as_deref(), record).await?;
    if template.making().is_some() {
        return Err(Stop::bad("bulk_certificates", "the template has a certificate made, which is for single things"));
    }
    let mut lines = String::new();
    for parameters in &things.parameters {
        check_parameters(&template, parameters)?;
        let line = serde_json::to_string(parameters).map_err(|_| Stop::unavailable("input"))?;
        let _ = writeln!(lines, "{line}");
    }
    let count = u32::try_from(things.parameters.len()).map_err(|_| Stop::unavailable("input"))?;
    let action = Action::ProvisionDevice { template: id.as_str(), things: count, thing: None, certificate: None };
    let _allowed = ask(service, record, action).await?;
    let key = new_key(&id);
    record.detail = Some(format!("{count} things, {key}"));
    let details = vec![("input", key.clone()), ("things", count.to_string())];
    let row = record.row(service, format!("bulk#{}", key.rsplit('/').next().unwrap_or(&key)), 0, details);
    let spent = service.ledger.spend(row).await;
    spent.map_err(|error| Stop::not_remembered(&error, &record.caller))?;
    let written = service.objects.write(&key, lines.into_bytes(), "application/x-ndjson", Precondition::Absent).await;
    written.map_err(|fault| Stop::fault("input", &fault, &record.caller))?;
    let config = &service.config;
    let task = service.iot.start_task(template.body(), &config.bucket, &key, &config.bulk_role_arn).await;
    let task_id = task.map_err(|fault| Stop::fault("start_task", &fault, &record.caller))?;
    record.detail = Some(format!("{count} things, {key}, task {task_id}"));
    Ok(Answer::json(StatusCode::CREATED, &Started { task_id }))
}

/// The key of a new task's input. It names the template, by which policy is asked about the task later.
fn new_key(id: &TemplateId) -> String {
    let mut name = [0; 16];
    SystemRandom.fill(&mut name);
    format!("{PREFIX}{id}/{}.jsonl", hex::encode(name))
}

/// The template of a task, by the key of its input.
pub(crate) fn template_of(key: &str) -> Option<TemplateId> {
    let (id, _) = key.strip_prefix(PREFIX)?.split_once('/')?;
    id.parse().ok()
}
