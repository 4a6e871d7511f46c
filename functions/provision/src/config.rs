use std::collections::BTreeMap;

use pki::CertificateId;
use ports::{ConfigError, Settings};
use serde::Deserialize;

/// What a deployment decides, from environment variables that `template.yaml` sets.
#[derive(Clone, Debug)]
pub struct Config {
    /// `BUCKET`: where templates, policies and the input of tasks are.
    pub bucket: String,
    /// `KEY_SECRET`: its path holds the broker's own secrets, which no policy opens.
    pub key_secret: String,
    /// `AUDIT_DAYS`: how long the ledger remembers a certificate after its end.
    pub audit_days: u64,
    /// `BULK_ROLE_ARN`: what tasks run as.
    pub bulk_role_arn: String,
    /// `IOT_ARNS`: what the ARNs of AWS IoT begin with here: `arn:aws:iot:<region>:<account>:`.
    pub iot_arns: String,
    /// `DEVICE_CERTIFICATE_DAYS`: how many days a device certificate is valid at most.
    pub max_days: u32,
    /// `DELETE_CERTIFICATES`: whether a deleted thing's certificates are deleted that serve no other thing.
    pub delete_certificates: bool,
    /// `DELETE_POLICIES`: whether a deleted certificate's policies are deleted that nothing else has.
    pub delete_policies: bool,
    /// `IOT_CAS`: CAs in AWS IoT by alias.
    pub cas: BTreeMap<String, CertificateId>,
    /// `PRIVATE_CAS`: private CAs by alias.
    pub private_cas: BTreeMap<String, PrivateCaAlias>,
}

/// A private CA that has a name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrivateCaAlias {
    /// Its ARN.
    pub arn: String,
    /// The role to ask as, where it is another account's.
    pub role_arn: Option<String>,
}

impl Config {
    /// Reads the settings.
    ///
    /// # Errors
    /// The first variable that is missing or not valid.
    pub fn read(settings: Settings<'_>) -> Result<Self, ConfigError> {
        let cas: BTreeMap<String, String> = json(settings, "IOT_CAS")?;
        let id = |(alias, id): (String, String)| Ok((alias, id.parse().map_err(|_| ConfigError("IOT_CAS"))?));
        Ok(Self {
            bucket: settings.required("BUCKET")?,
            key_secret: settings.required("KEY_SECRET")?,
            audit_days: settings.parsed("AUDIT_DAYS")?,
            bulk_role_arn: settings.required("BULK_ROLE_ARN")?,
            iot_arns: settings.required("IOT_ARNS")?,
            max_days: settings.parsed("DEVICE_CERTIFICATE_DAYS")?,
            delete_certificates: settings.parsed("DELETE_CERTIFICATES")?,
            delete_policies: settings.parsed("DELETE_POLICIES")?,
            cas: cas.into_iter().map(id).collect::<Result<_, _>>()?,
            private_cas: json(settings, "PRIVATE_CAS")?,
        })
    }
}

/// A JSON object that may be missing.
fn json<T: serde::de::DeserializeOwned + Default>(
    settings: Settings<'_>,
    name: &'static str,
) -> Result<T, ConfigError> {
    settings
        .optional(name)
        .map_or_else(|| Ok(T::default()), |text| serde_json::from_str(&text).map_err(|_| ConfigError(name)))
}
