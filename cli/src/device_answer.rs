use std::collections::BTreeMap;

use protocol::Secret;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What the broker made of an order for a device.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Provisioned {
    /// The device's certificate, where the template has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_pem: Option<String>,
    /// The certificate of the CA that signed it, where the broker tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_certificate_pem: Option<String>,
    /// Its public key, where the broker or AWS made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
    /// Its private key, where the broker or AWS made it. It is not written out again.
    #[serde(skip_serializing)]
    pub private_key: Option<Secret<String>>,
    /// The ARNs of what was made or found, by the template's names.
    pub resource_arns: BTreeMap<String, String>,
}

/// A thing with what is attached to it.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Device {
    /// The thing.
    pub thing_name: String,
    /// Its ARN.
    pub arn: String,
    /// Its type, where it has one.
    #[serde(default)]
    pub thing_type: Option<String>,
    /// Its attributes.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// Its certificates.
    pub certificates: Vec<DeviceCertificate>,
    /// The policies of its certificates.
    pub policies: Vec<DevicePolicy>,
    /// The groups that it is in.
    pub groups: Vec<DeviceGroup>,
}

/// A certificate of a thing.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceCertificate {
    /// Its id: 64 hex digits, the SHA-256 of its DER.
    pub certificate_id: String,
    /// Its ARN.
    pub arn: String,
    /// Its status.
    pub certificate_status: String,
    /// The certificate.
    pub certificate_pem: String,
}

/// A policy of a thing's certificate.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DevicePolicy {
    /// Its name.
    pub policy_name: String,
    /// Its ARN.
    pub arn: String,
    /// The document: JSON, or its text.
    pub policy_document: Value,
}

/// A group that a thing is in.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceGroup {
    /// Its name.
    pub group_name: String,
    /// Its ARN.
    pub arn: String,
    /// Its attributes.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
}

/// A bulk task. Who has its links has its reports.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BulkTask {
    /// Its id.
    pub task_id: String,
    /// `InProgress`, `Completed`, `Failed`, `Cancelling` or `Cancelled`.
    pub status: String,
    /// When it was started (RFC 3339).
    #[serde(default)]
    pub creation_date: Option<String>,
    /// When it last changed.
    #[serde(default)]
    pub last_modified_date: Option<String>,
    /// How many things were registered.
    #[serde(default)]
    pub success_count: u64,
    /// How many were not.
    #[serde(default)]
    pub failure_count: u64,
    /// How far it is, 0 to 100.
    #[serde(default)]
    pub percentage_progress: u64,
    /// Where the report of what was registered can be fetched for a while, in parts.
    #[serde(default)]
    pub results_reports: Vec<Secret<String>>,
    /// The same of what was not.
    #[serde(default)]
    pub errors_reports: Vec<Secret<String>>,
}

impl BulkTask {
    /// Whether nothing will change any more.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        matches!(self.status.as_str(), "Completed" | "Failed" | "Cancelled")
    }

    /// Whether it came to its end and every thing was registered.
    #[must_use]
    pub fn has_succeeded(&self) -> bool {
        self.status == "Completed" && self.failure_count == 0
    }
}
