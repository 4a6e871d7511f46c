use std::collections::BTreeMap;

use aws_sdk_iot::{error::ProvideErrorMetadata as _, primitives::DateTime, types::ReportType};
use ports::{Fault, RegisterThing, Registration, RegistrationTask, RegistrationTasks, Report};

use super::{Iot, fault, once};

/// What AWS IoT says of a resource that is there with other values, which the template does not override: the error's code is that
/// of any registration that fails.
const CONFLICT: &str = " conflicts with ";

impl RegisterThing for Iot {
    /// `iot:RegisterThing`, and what the template makes. Asked once: another try after a lost answer might run beside the first
    /// one.
    async fn register(&self, template: &str, parameters: &BTreeMap<String, String>) -> Result<Registration, Fault> {
        let parameters = parameters.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let register = self.0.register_thing().template_body(template).set_parameters(Some(parameters));
        let registered = register.customize().config_override(once()).send().await.map_err(|error| {
            let conflicts = error.code() == Some("ResourceRegistrationFailureException")
                && error.message().is_some_and(|message| message.contains(CONFLICT));
            if conflicts { Fault::Conflict } else { fault(&error) }
        })?;
        Ok(Registration {
            certificate_pem: registered.certificate_pem,
            resource_arns: registered.resource_arns.unwrap_or_default().into_iter().collect(),
        })
    }
}

impl RegistrationTasks for Iot {
    /// `iot:StartThingRegistrationTask`, and `iam:PassRole` for the role.
    async fn start_task(&self, template: &str, bucket: &str, key: &str, role_arn: &str) -> Result<String, Fault> {
        let start = self
            .0
            .start_thing_registration_task()
            .template_body(template)
            .input_file_bucket(bucket)
            .input_file_key(key)
            .role_arn(role_arn);
        let started = start.customize().config_override(once()).send().await.map_err(|error| fault(&error))?;
        started.task_id.ok_or(Fault::Unusable("task without an id"))
    }

    /// `iot:DescribeThingRegistrationTask`.
    async fn task(&self, id: &str) -> Result<RegistrationTask, Fault> {
        let found =
            self.0.describe_thing_registration_task().task_id(id).send().await.map_err(|error| fault(&error))?;
        Ok(RegistrationTask {
            id: found.task_id.ok_or(Fault::Unusable("task without an id"))?,
            status: found.status.ok_or(Fault::Unusable("task without a status"))?.as_str().to_owned(),
            bucket: found.input_file_bucket.ok_or(Fault::Unusable("task without a bucket"))?,
            key: found.input_file_key.ok_or(Fault::Unusable("task without a key"))?,
            created_at: unix_seconds(found.creation_date)?,
            modified_at: unix_seconds(found.last_modified_date)?,
            success_count: u64::try_from(found.success_count).unwrap_or_default(),
            failure_count: u64::try_from(found.failure_count).unwrap_or_default(),
            percentage: u8::try_from(found.percentage_progress.clamp(0, 100)).unwrap_or_default(),
        })
    }

    /// `iot:ListThingRegistrationTaskReports`.
    async fn report_links(&self, id: &str, report: Report) -> Result<Vec<String>, Fault> {
        let kind = match report {
            Report::Results => ReportType::Results,
            Report::Errors => ReportType::Errors,
        };
        let list = self.0.list_thing_registration_task_reports().task_id(id).report_type(kind);
        let mut pages = list.into_paginator().send();
        let mut links = Vec::new();
        while let Some(page) = pages.next().await {
            links.extend(page.map_err(|error| fault(&error))?.resource_links.unwrap_or_default());
        }
        Ok(links)
    }
}

fn unix_seconds(time: Option<DateTime>) -> Result<u64, Fault> {
    let time = time.ok_or(Fault::Unusable("task without its times"))?;
    u64::try_from(time.secs()).map_err(|_| Fault::Unusable("task of before 1970"))
}
