use std::collections::BTreeMap;

use crate::Fault;

/// What AWS IoT made of a provisioning template.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registration {
    /// The certificate, where the template has one.
    pub certificate_pem: Option<String>,
    /// The ARNs of what was made or found, by the template's names.
    pub resource_arns: BTreeMap<String, String>,
}

/// Registers things by templates (AWS IoT `RegisterThing`).
pub trait RegisterThing: Send + Sync + 'static {
    /// Makes what the template says, with the caller's own permissions. A registration that AWS IoT refuses is
    /// [`Fault::Invalid`]; of what it made before, nothing is taken back.
    fn register(
        &self,
        template: &str,
        parameters: &BTreeMap<String, String>,
    ) -> impl Future<Output = Result<Registration, Fault>> + Send;
}

/// A task that registers many things.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationTask {
    /// Its id.
    pub id: String,
    /// Its status as the API writes it: `InProgress`, `Completed`, `Failed`, `Cancelling`, `Cancelled`.
    pub status: String,
    /// The bucket of its input.
    pub bucket: String,
    /// The key of its input.
    pub key: String,
    /// When it was started, Unix time in seconds.
    pub created_at: u64,
    /// When it last changed, Unix time in seconds.
    pub modified_at: u64,
    /// How many things were registered.
    pub success_count: u64,
    /// How many were not.
    pub failure_count: u64,
    /// How far it is, 0 to 100.
    pub percentage: u8,
}

/// A report of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// What was registered.
    Results,
    /// What was not, and why.
    Errors,
}

/// Registers many things at once (AWS IoT thing registration tasks).
pub trait RegistrationTasks: Send + Sync + 'static {
    /// Starts a task over an object of one set of parameters a line; gives its id (`StartThingRegistrationTask`). Asked once:
    /// where the answer is lost, whoever asks again may have two.
    fn start_task(
        &self,
        template: &str,
        bucket: &str,
        key: &str,
        role_arn: &str,
    ) -> impl Future<Output = Result<String, Fault>> + Send;

    /// The task of this id (`DescribeThingRegistrationTask`).
    fn task(&self, id: &str) -> impl Future<Output = Result<RegistrationTask, Fault>> + Send;

    /// Where a report's parts can be fetched for a while (`ListThingRegistrationTaskReports`). Secret in so far as who has the
    /// links has the report.
    fn report_links(&self, id: &str, report: Report) -> impl Future<Output = Result<Vec<String>, Fault>> + Send;
}
