use std::collections::BTreeMap;

use crate::Fault;

/// A thing of AWS IoT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thing {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// Its type, where it has one.
    pub type_name: Option<String>,
    /// Its attributes.
    pub attributes: BTreeMap<String, String>,
}

/// A static group of things.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThingGroup {
    /// Its name, unique in the account and region.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// Its attributes.
    pub attributes: BTreeMap<String, String>,
    /// The names of the groups that it is in, from the root to its parent.
    pub ancestors: Vec<String>,
}

/// Reads the registry of things (AWS IoT).
pub trait ReadThing: Send + Sync + 'static {
    /// The thing of this name (`DescribeThing`).
    fn thing(&self, name: &str) -> impl Future<Output = Result<Thing, Fault>> + Send;

    /// The ARNs of every certificate that is attached to a thing (`ListThingPrincipals`). Principals of other kinds are left out.
    fn certificates_of(&self, thing: &str) -> impl Future<Output = Result<Vec<String>, Fault>> + Send;

    /// The names of every static group that a thing is in (`ListThingGroupsForThing`).
    fn groups_of(&self, thing: &str) -> impl Future<Output = Result<Vec<String>, Fault>> + Send;

    /// The group of this name (`DescribeThingGroup`).
    fn group(&self, name: &str) -> impl Future<Output = Result<ThingGroup, Fault>> + Send;
}

/// Takes things out of the registry (AWS IoT). That it happened already is a success.
pub trait DeleteThing: Send + Sync + 'static {
    /// Detaches a certificate from a thing (`DetachThingPrincipal`).
    fn detach_thing(&self, thing: &str, certificate_arn: &str) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Deletes a thing to which nothing is attached (`DeleteThing`).
    fn delete_thing(&self, name: &str) -> impl Future<Output = Result<(), Fault>> + Send;
}
