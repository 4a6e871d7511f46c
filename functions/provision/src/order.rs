use pki::{Certificate, CertificateId, Csr, KeyKind, PkiError, Subject, SubjectFields};
use policy::CertificateRequest;
use ports::CertificateStatus;
use serde::Deserialize;

use crate::{
    Config, PrivateCaAlias,
    stop::Stop,
    template::{Making, Template},
};

/// How many days a certificate is valid where the request does not say.
const DEFAULT_DAYS: u32 = 365;

/// What the template's option needs (`cdfProvisioningParameters`). Which members may stand here, the option says.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct CdfParameters {
    /// `createDeviceCertificate`: the CA's id in AWS IoT, or an alias of the deployment's.
    ca_id: Option<String>,
    /// The subject, and for how many days.
    cert_info: Option<CertInfo>,
    /// The kind of the key that is made.
    key_type: Option<KeyType>,
    /// In place of a key: what the device's key asks for, PKCS#10 in PEM.
    csr: Option<String>,
    /// `registerDeviceCertificateWithoutCA`: the certificate, PEM.
    certificate_pem: Option<String>,
    /// Its status, `ACTIVE` where it is not said.
    certificate_status: Option<GivenStatus>,
    /// `acmpca`: the private CA's ARN.
    acmpca_ca_arn: Option<String>,
    /// Its alias, which counts before the ARN.
    acmpca_ca_alias: Option<String>,
    /// `acmpca` with `REGISTER_WITH_CA`: the same CA's ARN in AWS IoT.
    awsiot_ca_arn: Option<String>,
    /// Its alias, which counts before the ARN.
    awsiot_ca_alias: Option<String>,
}

/// Subject and lifetime of a certificate. With a CSR the subject is the CSR's, and what stands here has to agree with it.
#[derive(Debug, Default, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct CertInfo {
    common_name: Option<String>,
    organization: Option<String>,
    organizational_unit: Option<String>,
    locality: Option<String>,
    state_name: Option<String>,
    /// Two letters; mandatory without a CSR.
    country: Option<String>,
    email_address: Option<String>,
    /// For how many days; 365 where it is not said, or the deployment's most.
    #[schema(minimum = 1)]
    days_expiry: Option<u32>,
}

/// The kind of a device's key.
#[derive(Clone, Copy, Debug, Deserialize, utoipa::ToSchema)]
pub(crate) enum KeyType {
    /// ECDSA with P-256, where nothing is said.
    #[serde(rename = "EC_P256")]
    EcP256,
    /// RSA with 2048 bits.
    #[serde(rename = "RSA_2048")]
    Rsa2048,
}

/// The status that a certificate is registered with.
#[derive(Clone, Copy, Debug, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum GivenStatus {
    Active,
    Inactive,
}

/// The certificate that a thing is to get.
#[derive(Debug)]
pub(crate) enum Order {
    /// From AWS IoT.
    Aws {
        /// Whether it is active at once.
        active: bool,
    },
    /// The caller's.
    Given { certificate: Box<Certificate>, status: CertificateStatus },
    /// Signed by a CA of the customer's.
    Signed(Box<Signed>),
}

/// A certificate that a CA signs.
#[derive(Debug)]
pub(crate) struct Signed {
    pub(crate) ca: Ca,
    pub(crate) holder: Holder,
    pub(crate) days: u32,
}

/// Who signs.
#[derive(Debug)]
pub(crate) enum Ca {
    /// The broker, with the key of this CA of AWS IoT.
    Own(CertificateId),
    /// AWS Private CA.
    Private {
        ca: PrivateCaAlias,
        /// The same CA in AWS IoT, where that has to know it.
        registered: Option<CertificateId>,
    },
}

/// Whose key is certified.
#[derive(Debug)]
pub(crate) enum Holder {
    /// The device's, which never leaves it.
    Csr(Csr),
    /// One that is made here, for this subject.
    Made(Subject, KeyKind),
}

impl Order {
    /// Reads what the template's option needs; what it does not need is refused.
    pub(crate) fn read(
        template: &Template,
        given: Option<CdfParameters>,
        config: &Config,
    ) -> Result<Option<Self>, Stop> {
        let mut given = given.unwrap_or_default();
        let Some(making) = template.making() else { return given.is_used_up().map(|()| None) };
        let order = match making {
            Making::Aws => Self::Aws { active: !template.is_inactive() },
            Making::Given => given.certificate()?,
            Making::OwnCa => {
                let ca = Ca::Own(given.own_ca(config)?);
                Self::Signed(Box::new(given.signed(ca, config)?))
            }
            Making::PrivateCa { registered } => {
                let ca = given.private_ca(registered, config)?;
                Self::Signed(Box::new(given.signed(ca, config)?))
            }
        };
        given.is_used_up().map(|()| Some(order))
    }
}

impl Signed {
    /// The subject of the certificate.
    pub(crate) const fn subject(&self) -> &Subject {
        match &self.holder {
            Holder::Csr(csr) => csr.subject(),
            Holder::Made(subject, _) => subject,
        }
    }

    /// The CA as policies and logs name it.
    pub(crate) fn ca_name(&self) -> &str {
        match &self.ca {
            Ca::Own(id) => id.as_str(),
            Ca::Private { ca, .. } => &ca.arn,
        }
    }

    /// What policy is asked, with the subject as [`attributes`] has it.
    pub(crate) fn request<'a>(&'a self, subject: &'a [(&'static str, &'a str)]) -> CertificateRequest<'a> {
        let csr = matches!(self.holder, Holder::Csr(_));
        CertificateRequest { ca: self.ca_name(), csr, days: self.days, subject }
    }
}

/// A subject's attributes, by their names in policies.
pub(crate) fn attributes(subject: &Subject) -> Vec<(&'static str, &str)> {
    let SubjectFields { common_name, organization, organizational_unit, locality, state_name, country, email_address } =
        subject.fields();
    let all = [
        ("common_name", common_name),
        ("organization", organization),
        ("organizational_unit", organizational_unit),
        ("locality", locality),
        ("state_name", state_name),
        ("country", country),
        ("email_address", email_address),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))).collect()
}

impl CdfParameters {
    /// Whether every member was taken.
    fn is_used_up(&self) -> Result<(), Stop> {
        let Self {
            ca_id: None,
            cert_info: None,
            key_type: None,
            csr: None,
            certificate_pem: None,
            certificate_status: None,
            acmpca_ca_arn: None,
            acmpca_ca_alias: None,
            awsiot_ca_arn: None,
            awsiot_ca_alias: None,
        } = self
        else {
            return Err(Stop::bad("unused", "cdfProvisioningParameters has members that the template has no use for"));
        };
        Ok(())
    }

    fn certificate(&mut self) -> Result<Order, Stop> {
        let pem = self.certificate_pem.take().ok_or_else(|| missing("certificatePem"))?;
        let certificate = Certificate::from_pem(&pem).map_err(|error| wrong("certificatePem", error))?;
        let status = match self.certificate_status.take() {
            None | Some(GivenStatus::Active) => CertificateStatus::Active,
            Some(GivenStatus::Inactive) => CertificateStatus::Inactive,
        };
        Ok(Order::Given { certificate: Box::new(certificate), status })
    }

    fn own_ca(&mut self, config: &Config) -> Result<CertificateId, Stop> {
        let id = self.ca_id.take().ok_or_else(|| missing("caId"))?;
        if let Some(id) = config.cas.get(&id) {
            return Ok(id.clone());
        }
        id.parse().map_err(|_| Stop::bad("malformed_ca_id", "caId is neither 64 hex digits nor an alias of a CA"))
    }

    fn private_ca(&mut self, registered: bool, config: &Config) -> Result<Ca, Stop> {
        let ca = match (self.acmpca_ca_alias.take(), self.acmpca_ca_arn.take()) {
            (Some(alias), _) => config.private_cas.get(&alias).cloned().ok_or_else(|| unknown("acmpcaCaAlias"))?,
            (None, Some(arn)) => {
                // A role is the deployment's to choose.
                let known = config.private_cas.values().find(|known| known.arn == arn).cloned();
                known.unwrap_or(PrivateCaAlias { arn, role_arn: None })
            }
            (None, None) => return Err(missing("acmpcaCaArn or acmpcaCaAlias")),
        };
        let registered = match (registered, self.awsiot_ca_alias.take(), self.awsiot_ca_arn.take()) {
            (false, None, None) => None,
            (false, ..) => return Err(Stop::bad("unused", "awsiotCaArn has no use in the mode REGISTER_WITHOUT_CA")),
            (true, Some(alias), _) => Some(config.cas.get(&alias).cloned().ok_or_else(|| unknown("awsiotCaAlias"))?),
            (true, None, Some(arn)) => {
                let id = arn.rsplit_once(":cacert/").and_then(|(_, id)| id.parse().ok());
                Some(id.ok_or_else(|| Stop::bad("malformed_ca_id", "awsiotCaArn is not the ARN of a CA in AWS IoT"))?)
            }
            (true, None, None) => return Err(missing("awsiotCaArn or awsiotCaAlias")),
        };
        Ok(Ca::Private { ca, registered })
    }

    fn signed(&mut self, ca: Ca, config: &Config) -> Result<Signed, Stop> {
        let info = self.cert_info.take();
        let days = match info.as_ref().and_then(|info| info.days_expiry) {
            Some(days) if (1..=config.max_days).contains(&days) => days,
            Some(_) => return Err(Stop::bad("days", format!("daysExpiry is not within 1 to {}", config.max_days))),
            None => DEFAULT_DAYS.min(config.max_days),
        };
        let holder = match (self.csr.take(), self.key_type.take()) {
            (Some(csr), None) => {
                let csr = Csr::from_pem(&csr).map_err(|error| wrong("csr", error))?;
                if !info.unwrap_or_default().agrees_with(csr.subject().fields()) {
                    return Err(Stop::bad("subject", "certInfo names another subject than csr, whose subject counts"));
                }
                Holder::Csr(csr)
            }
            (Some(_), Some(_)) => return Err(Stop::bad("unused", "keyType has no use where there is a csr")),
            (None, kind) => {
                let info = info.ok_or_else(|| missing("certInfo or csr"))?;
                if info.country.is_none() {
                    return Err(missing("certInfo.country"));
                }
                let subject = Subject::new(&info.into_fields()).map_err(|error| wrong("certInfo", error))?;
                let kind = match kind {
                    None | Some(KeyType::EcP256) => KeyKind::EcdsaP256,
                    Some(KeyType::Rsa2048) => KeyKind::Rsa2048,
                };
                Holder::Made(subject, kind)
            }
        };
        Ok(Signed { ca, holder, days })
    }
}

impl CertInfo {
    fn into_fields(self) -> SubjectFields {
        SubjectFields {
            common_name: self.common_name,
            organization: self.organization,
            organizational_unit: self.organizational_unit,
            locality: self.locality,
            state_name: self.state_name,
            country: self.country,
            email_address: self.email_address,
        }
    }

    /// Whether each attribute that stands here stands there too.
    fn agrees_with(self, other: &SubjectFields) -> bool {
        let mine = self.into_fields();
        let pairs = [
            (&mine.common_name, &other.common_name),
            (&mine.organization, &other.organization),
            (&mine.organizational_unit, &other.organizational_unit),
            (&mine.locality, &other.locality),
            (&mine.state_name, &other.state_name),
            (&mine.country, &other.country),
            (&mine.email_address, &other.email_address),
        ];
        pairs.into_iter().all(|(mine, other)| mine.is_none() || mine == other)
    }
}

fn missing(member: &'static str) -> Stop {
    Stop::bad("missing_member", format!("cdfProvisioningParameters has no {member}"))
}

fn unknown(member: &'static str) -> Stop {
    Stop::bad("unknown_alias", format!("{member} is not an alias of this deployment"))
}

fn wrong(member: &'static str, error: PkiError) -> Stop {
    Stop::bad("unacceptable", format!("{member} is not accepted: {error}"))
}
