use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use policy::{Action, Device};
use ports::{Fault, RegistrationTasks as _, Report};
use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use web::{Bearer, Caller};

use crate::{
    Ports, Service,
    answer::{Answer, ErrorBody},
    authorize::ask,
    bulk::template_of,
    path_name::PathName,
    record::Record,
    stop::Stop,
};

/// How far a task is.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TaskStatus {
    /// Its id in AWS IoT.
    task_id: String,
    /// `InProgress`, `Completed`, `Failed`, `Cancelling` or `Cancelled`.
    status: String,
    /// When it was started (RFC 3339).
    creation_date: String,
    /// When it last changed (RFC 3339).
    last_modified_date: String,
    /// How many things were registered.
    success_count: u64,
    /// How many were not.
    failure_count: u64,
    /// 0 to 100.
    percentage_progress: u8,
    /// Where AWS has, for a while, what was registered: one JSON object a line.
    results_reports: Vec<String>,
    /// Where AWS has, for a while, what was not, and why.
    errors_reports: Vec<String>,
}

/// How far a task of `POST /bulkthings` is.
#[utoipa::path(
    get,
    path = "/bulkthings/{taskId}",
    operation_id = "describeBulkProvisioning",
    tag = "provision",
    params(("taskId" = String, Path, description = "The task's id"), ("Authorization" = String, Header, description = "`Bearer TOKEN`")),
    responses(
        (status = 200, description = "How far it is", content((TaskStatus = "application/json"), (TaskStatus = "application/vnd.aws-cdf-v1.0+json"))),
        (status = 401, description = "The token is not valid; from the gateway", content_type = "application/problem+json"),
        (status = 403, description = "Policy does not allow it", body = ErrorBody),
        (status = 404, description = "There is no such task of this broker", body = ErrorBody),
        (status = 429, description = "AWS asks for fewer requests", body = ErrorBody, headers(("Retry-After" = u64))),
        (status = 503, description = "Something that the broker needs does not answer", body = ErrorBody, headers(("Retry-After" = u64))),
    ),
)]
pub(crate) async fn task<P: Ports>(
    State(service): State<Arc<Service<P>>>,
    caller: Caller,
    bearer: Bearer,
    PathName(id): PathName,
    headers: HeaderMap,
) -> Response {
    let mut record = Record::new("device:read", format!("task {id}"), caller, bearer);
    let ending = service.in_time(read(&service, &mut record, &id)).await;
    record.end(ending, &headers)
}

async fn read<P: Ports>(service: &Service<P>, record: &mut Record, id: &str) -> Result<Answer, Stop> {
    // Its template is known by its input alone. A task that was not started here is none.
    let unknown = || Stop::missing("there is no such task");
    let task = match service.iot.task(id).await {
        Ok(task) => task,
        Err(Fault::Missing | Fault::Invalid(_)) => return Err(unknown()),
        Err(fault) => return Err(Stop::fault("task", &fault, &record.caller)),
    };
    let template = if task.bucket == service.config.bucket { template_of(&task.key) } else { None };
    let template = template.ok_or_else(unknown)?;
    let _allowed = ask(service, record, Action::ReadDevice(Device::Task(template.as_str()))).await?;
    let (results, errors) =
        tokio::join!(service.iot.report_links(id, Report::Results), service.iot.report_links(id, Report::Errors));
    let links = |links: Result<Vec<String>, Fault>| match links {
        // Before there is a report.
        Err(Fault::Missing) => Ok(Vec::new()),
        links => links.map_err(|fault| Stop::fault("reports", &fault, &record.caller)),
    };
    let body = TaskStatus {
        task_id: task.id,
        status: task.status,
        creation_date: rfc_3339(task.created_at),
        last_modified_date: rfc_3339(task.modified_at),
        success_count: task.success_count,
        failure_count: task.failure_count,
        percentage_progress: task.percentage,
        results_reports: links(results)?,
        errors_reports: links(errors)?,
    };
    Ok(Answer::json(StatusCode::OK, &body))
}

fn rfc_3339(unix_seconds: u64) -> String {
    let time = i64::try_from(unix_seconds).ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default()
}
