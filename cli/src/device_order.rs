use std::collections::BTreeMap;

use pki::{KeyKind, SubjectFields};
use ports::CertificateStatus;
use serde::{Serialize, Serializer};

use crate::{DeviceError, Error};

/// Which template a device is provisioned by.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum TemplateChoice {
    /// The one of this id.
    ProvisioningTemplateId(String),
    /// The one that is assigned to this thing group, or to the nearest of those above it: `/a/b/c`.
    GroupPath(String),
}

/// An order for one device, as the broker's `POST /things` takes it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceOrder {
    /// The template.
    #[serde(flatten)]
    pub template: TemplateChoice,
    /// Its parameters.
    pub parameters: BTreeMap<String, String>,
    /// Where the certificate comes from, for templates that have to be told.
    #[serde(rename = "cdfProvisioningParameters", skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateOrder>,
}

/// Where a device's certificate comes from.
#[derive(Clone, Debug)]
pub enum CertificateOrder {
    /// The broker signs it by a CA whose key it has (`createDeviceCertificate`).
    OwnCa {
        /// Its id with AWS IoT, or an alias of the deployment's.
        ca: String,
        /// What is signed.
        subject: CertificateSubject,
    },
    /// AWS Private CA signs it (`acmpca`).
    PrivateCa {
        /// Its ARN, or an alias of the deployment's.
        ca: String,
        /// The same CA's ARN with AWS IoT, or an alias, where the template registers with it.
        iot_ca: Option<String>,
        /// What is signed.
        subject: CertificateSubject,
    },
    /// It is there already (`registerDeviceCertificateWithoutCA`).
    AsItIs {
        /// The certificate.
        pem: String,
        /// `ACTIVE` without it.
        status: Option<CertificateStatus>,
    },
}

/// What a CA signs, and for how long.
#[derive(Clone, Debug)]
pub enum CertificateSubject {
    /// A request of who holds the key.
    Csr {
        /// PEM.
        csr: String,
        /// The deployment's choice without it.
        days: Option<u32>,
    },
    /// The broker makes the key too, and gives it in the answer.
    Fields {
        /// Whose certificate it is.
        fields: SubjectFields,
        /// The deployment's choice without it.
        days: Option<u32>,
        /// ECDSA P-256 without it.
        key_kind: Option<KeyKind>,
    },
}

/// An order for many devices, as the broker's `POST /bulkthings` takes it.
#[derive(Clone, Debug, Serialize)]
pub struct BulkOrder {
    /// The template.
    #[serde(flatten)]
    pub template: TemplateChoice,
    /// The parameters of each.
    pub parameters: Vec<BTreeMap<String, String>>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acmpca_ca_arn: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acmpca_ca_alias: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    awsiot_ca_arn: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    awsiot_ca_alias: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    csr: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cert_info: Option<CertInfo<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_pem: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_status: Option<&'static str>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct CertInfo<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    common_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    organization: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    organizational_unit: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    locality: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    country: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email_address: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    days_expiry: Option<u32>,
}

impl BulkOrder {
    /// Reads the parameters of many devices: a JSON list, or a line of JSON for each.
    ///
    /// # Errors
    /// [`DeviceError::Rows`].
    pub fn rows(text: &[u8]) -> Result<Vec<BTreeMap<String, String>>, Error> {
        let malformed = |row, source| DeviceError::Rows { row, source };
        if text.trim_ascii_start().starts_with(b"[") {
            return Ok(serde_json::from_slice(text).map_err(|source| malformed(None, source))?);
        }
        let lines = text.split(|byte| *byte == b'\n').enumerate();
        let lines = lines.filter(|(_, line)| !line.trim_ascii().is_empty());
        let read = |(at, line)| serde_json::from_slice(line).map_err(|source| malformed(Some(at + 1), source));
        Ok(lines.map(read).collect::<Result<_, DeviceError>>()?)
    }
}

impl Serialize for CertificateOrder {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let wire = match self {
            Self::OwnCa { ca, subject } => Wire { ca_id: Some(ca), ..Wire::of(subject) },
            Self::PrivateCa { ca, iot_ca, subject } => {
                let (acmpca_ca_arn, acmpca_ca_alias) = arn_or_alias(Some(ca));
                let (awsiot_ca_arn, awsiot_ca_alias) = arn_or_alias(iot_ca.as_deref());
                Wire { acmpca_ca_arn, acmpca_ca_alias, awsiot_ca_arn, awsiot_ca_alias, ..Wire::of(subject) }
            }
            Self::AsItIs { pem, status } => Wire {
                certificate_pem: Some(pem),
                certificate_status: status.map(CertificateStatus::name),
                ..Wire::default()
            },
        };
        wire.serialize(serializer)
    }
}

impl<'a> Wire<'a> {
    fn of(subject: &'a CertificateSubject) -> Self {
        match subject {
            CertificateSubject::Csr { csr, days } => Self {
                csr: Some(csr),
                cert_info: days.map(|days| CertInfo { days_expiry: Some(days), ..CertInfo::default() }),
                ..Self::default()
            },
            CertificateSubject::Fields { fields, days, key_kind } => Self {
                cert_info: Some(CertInfo {
                    common_name: fields.common_name.as_deref(),
                    organization: fields.organization.as_deref(),
                    organizational_unit: fields.organizational_unit.as_deref(),
                    locality: fields.locality.as_deref(),
                    state_name: fields.state_name.as_deref(),
                    country: fields.country.as_deref(),
                    email_address: fields.email_address.as_deref(),
                    days_expiry: *days,
                }),
                key_type: key_kind.map(|kind| match kind {
                    KeyKind::EcdsaP256 => "EC_P256",
                    KeyKind::Rsa2048 => "RSA_2048",
                    KeyKind::Rsa4096 => "RSA_4096",
                }),
                ..Self::default()
            },
        }
    }
}

fn arn_or_alias(text: Option<&str>) -> (Option<&str>, Option<&str>) {
    (text.filter(|text| text.starts_with("arn:")), text.filter(|text| !text.starts_with("arn:")))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn written(certificate: Option<CertificateOrder>) -> Value {
        let template = TemplateChoice::ProvisioningTemplateId("lamps".into());
        let parameters = BTreeMap::from([("ThingName".to_owned(), "lamp-1".to_owned())]);
        serde_json::to_value(DeviceOrder { template, parameters, certificate }).unwrap()
    }

    fn asked(certificate: CertificateOrder) -> Value {
        written(Some(certificate))["cdfProvisioningParameters"].take()
    }

    #[test]
    fn an_order_names_template_and_parameters_alone_where_nothing_else_is_asked_for() {
        let expected = json!({ "provisioningTemplateId": "lamps", "parameters": { "ThingName": "lamp-1" } });
        assert_eq!(written(None), expected);
        let template = TemplateChoice::GroupPath("/a/b".into());
        let bulk = serde_json::to_value(BulkOrder { template, parameters: vec![BTreeMap::new()] }).unwrap();
        assert_eq!(bulk, json!({ "groupPath": "/a/b", "parameters": [{}] }));
    }

    #[test]
    fn each_source_of_a_certificate_is_told_by_its_own_members() {
        let csr = |days| CertificateSubject::Csr { csr: "request".into(), days };
        assert_eq!(
            asked(CertificateOrder::OwnCa { ca: "main".into(), subject: csr(None) }),
            json!({ "caId": "main", "csr": "request" })
        );
        assert_eq!(
            asked(CertificateOrder::OwnCa { ca: "main".into(), subject: csr(Some(30)) }),
            json!({ "caId": "main", "csr": "request", "certInfo": { "daysExpiry": 30 } })
        );
        let fields =
            SubjectFields { state_name: Some("Utah".into()), country: Some("US".into()), ..Default::default() };
        let subject = CertificateSubject::Fields { fields, days: Some(9), key_kind: Some(KeyKind::Rsa2048) };
        let info = json!({ "stateName": "Utah", "country": "US", "daysExpiry": 9 });
        assert_eq!(
            asked(CertificateOrder::PrivateCa { ca: "arn:aws:acm-pca:x".into(), iot_ca: Some("iot".into()), subject }),
            json!({
                "acmpcaCaArn": "arn:aws:acm-pca:x", "awsiotCaAlias": "iot", "certInfo": info, "keyType": "RSA_2048"
            })
        );
        let status = Some(CertificateStatus::Inactive);
        assert_eq!(
            asked(CertificateOrder::AsItIs { pem: "pem".into(), status }),
            json!({ "certificatePem": "pem", "certificateStatus": "INACTIVE" })
        );
    }

    #[test]
    fn rows_are_lines_or_a_list() {
        let expected =
            [("1", "a"), ("2", "b")].map(|(key, value)| BTreeMap::from([(key.to_owned(), value.to_owned())]));
        for text in ["{\"1\":\"a\"}\n\n{\"2\":\"b\"}\r\n", " [{\"1\":\"a\"},\n{\"2\":\"b\"}]"] {
            assert_eq!(BulkOrder::rows(text.as_bytes()).unwrap(), expected, "{text}");
        }
        for (text, at) in
            [("{}\n{\"1\":2}", Some(2)), ("1", Some(1)), ("[{}", None), ("[[]]", None), ("{} {}", Some(1))]
        {
            let refused = BulkOrder::rows(text.as_bytes());
            assert!(matches!(refused, Err(Error::Device(DeviceError::Rows { row, .. })) if row == at), "{text}");
        }
    }
}
