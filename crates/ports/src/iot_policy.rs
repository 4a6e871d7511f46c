use crate::Fault;

/// A policy of AWS IoT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IotPolicy {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// Its default version, JSON.
    pub document: String,
}

/// Reads policies of devices (AWS IoT).
pub trait ReadIotPolicy: Send + Sync + 'static {
    /// The policy of this name (`GetPolicy`).
    fn policy(&self, name: &str) -> impl Future<Output = Result<IotPolicy, Fault>> + Send;

    /// The names of every policy that is attached to a certificate (`ListAttachedPolicies`).
    fn policies_of(&self, certificate_arn: &str) -> impl Future<Output = Result<Vec<String>, Fault>> + Send;

    /// Whether a policy is attached to anything (`ListTargetsForPolicy`).
    fn has_targets(&self, name: &str) -> impl Future<Output = Result<bool, Fault>> + Send;
}

/// Takes policies away (AWS IoT). That it happened already is a success.
pub trait DeleteIotPolicy: Send + Sync + 'static {
    /// Detaches a policy from a certificate (`DetachPolicy`).
    fn detach_policy(&self, name: &str, certificate_arn: &str) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Deletes a policy with all its versions (`DeletePolicyVersion`, `DeletePolicy`); [`Fault::Conflict`] where it is attached to
    /// something.
    fn delete_policy(&self, name: &str) -> impl Future<Output = Result<(), Fault>> + Send;
}
