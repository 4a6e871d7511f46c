use std::{
    sync::OnceLock,
    time::{Duration, UNIX_EPOCH},
};

use aws_sdk_acmpca::{
    Client,
    config::{Builder, Credentials},
    operation::get_certificate::GetCertificateError,
    types::{SigningAlgorithm, Validity, ValidityPeriodType},
};
use aws_smithy_types::Blob;
use ports::{AssumeRole, Fault, PrivateCa, PrivateCaOrder, RoleSession};
use tokio::time::{Instant, sleep};

use crate::{Connection, Sts, connection::request_fault as fault};

/// How long a certificate is waited for. AWS Private CA mostly has it within a second.
const PATIENCE: Duration = Duration::from_secs(8);

/// Private CAs of AWS Private CA, this account's and, through roles, those of others. All are in this program's region.
///
/// The clients are made when they are first needed: each takes its share of a cold start.
#[derive(Clone, Debug)]
pub struct PrivateCas {
    connection: Connection,
    sts: Sts,
    own: OnceLock<Client>,
}

impl PrivateCas {
    /// A client.
    #[must_use]
    pub fn new(connection: Connection) -> Self {
        Self { connection: connection.unhurried(), sts: Sts::new(connection), own: OnceLock::new() }
    }

    /// `sts:AssumeRole`, where the CA is another account's. The session ends after a quarter of an hour, the least that STS
    /// gives.
    async fn client(&self, role_arn: Option<&str>) -> Result<Client, Fault> {
        let Some(role_arn) = role_arn else {
            return Ok(self.own.get_or_init(|| Client::new(&self.connection.0)).clone());
        };
        let session = RoleSession {
            role_arn: role_arn.to_owned(),
            session_name: "countersign".to_owned(),
            seconds: 900,
            policy: None,
        };
        let session = self.sts.assume(&session).await?;
        let credentials = Credentials::new(
            session.access_key_id,
            session.secret_access_key.expose(),
            Some(session.session_token.expose().clone()),
            UNIX_EPOCH.checked_add(Duration::from_secs(session.expires_at)),
            "AssumeRole",
        );
        Ok(Client::from_conf(Builder::from(&self.connection.0).credentials_provider(credentials).build()))
    }
}

impl PrivateCa for PrivateCas {
    /// `acm-pca:DescribeCertificateAuthority`, `acm-pca:IssueCertificate`, `acm-pca:GetCertificate`.
    async fn sign(&self, order: &PrivateCaOrder<'_>) -> Result<String, Fault> {
        let template = template(order.ca_arn).ok_or_else(|| Fault::Invalid("not the ARN of a private CA".into()))?;
        let client = self.client(order.role_arn).await?;
        let described = client.describe_certificate_authority().certificate_authority_arn(order.ca_arn).send().await;
        let key_algorithm = described
            .map_err(|error| fault(&error))?
            .certificate_authority
            .and_then(|ca| ca.certificate_authority_configuration)
            .ok_or(Fault::Unusable("private CA without a key algorithm"))?
            .key_algorithm;
        let key_algorithm = key_algorithm.as_str();
        let signing_algorithm = signing_algorithm(key_algorithm)
            .ok_or_else(|| Fault::Invalid(format!("private CA's key is {key_algorithm}").into()))?;
        let days = Validity::builder().value(order.days.into()).r#type(ValidityPeriodType::Days).build();
        let issued = client
            .issue_certificate()
            .certificate_authority_arn(order.ca_arn)
            .csr(Blob::new(order.csr))
            .signing_algorithm(signing_algorithm)
            .template_arn(template)
            .validity(days.map_err(|_| Fault::Unusable("validity without a value"))?)
            .idempotency_token(order.token)
            .send()
            .await
            .map_err(|error| fault(&error))?;
        let arn = issued.certificate_arn.ok_or(Fault::Unusable("certificate without an ARN"))?;
        issued_certificate(&client, order.ca_arn, &arn).await
    }
}

/// Waits for a certificate that was ordered.
async fn issued_certificate(client: &Client, ca_arn: &str, arn: &str) -> Result<String, Fault> {
    let started = Instant::now();
    let mut pause = Duration::from_millis(200);
    loop {
        match client.get_certificate().certificate_authority_arn(ca_arn).certificate_arn(arn).send().await {
            Ok(found) => return found.certificate.ok_or(Fault::Unusable("certificate without its PEM")),
            Err(error)
                if error.as_service_error().is_some_and(GetCertificateError::is_request_in_progress_exception) =>
            {
                if started.elapsed() + pause > PATIENCE {
                    return Err(fault(&error));
                }
            }
            Err(error) => return Err(fault(&error)),
        }
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}

/// The template's ARN in the partition of `arn:<partition>:acm-pca:<region>:<account>:certificate-authority/<id>`.
fn template(ca_arn: &str) -> Option<String> {
    let mut parts = ca_arn.splitn(6, ':');
    match [(); 6].map(|()| parts.next()) {
        [Some("arn"), Some(partition), Some("acm-pca"), Some(_), Some(_), Some(resource)]
            if resource.starts_with("certificate-authority/") =>
        {
            Some(format!("arn:{partition}:acm-pca:::template/EndEntityClientAuthCertificate/V1"))
        }
        _ => None,
    }
}

/// How a CA with such a key signs. A key on a curve goes with the hash of its strength (AWS Private CA API,
/// `IssueCertificate`: the algorithm's family must be the CA's key's).
fn signing_algorithm(key_algorithm: &str) -> Option<SigningAlgorithm> {
    match key_algorithm {
        "RSA_2048" | "RSA_3072" | "RSA_4096" => Some(SigningAlgorithm::Sha256Withrsa),
        "EC_prime256v1" => Some(SigningAlgorithm::Sha256Withecdsa),
        "EC_secp384r1" => Some(SigningAlgorithm::Sha384Withecdsa),
        "EC_secp521r1" => Some(SigningAlgorithm::Sha512Withecdsa),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ca_signs_with_an_algorithm_of_its_key() {
        for (key, signature) in [
            ("RSA_2048", Some("SHA256WITHRSA")),
            ("RSA_3072", Some("SHA256WITHRSA")),
            ("RSA_4096", Some("SHA256WITHRSA")),
            ("EC_prime256v1", Some("SHA256WITHECDSA")),
            ("EC_secp384r1", Some("SHA384WITHECDSA")),
            ("EC_secp521r1", Some("SHA512WITHECDSA")),
            ("ML_DSA_65", None),
            ("SM2", None),
        ] {
            assert_eq!(signing_algorithm(key).as_ref().map(SigningAlgorithm::as_str), signature, "{key}");
        }
    }

    #[test]
    fn the_template_is_of_the_cas_partition() {
        for (ca, of) in [
            (
                "arn:aws:acm-pca:eu-west-1:123456789012:certificate-authority/0a1b",
                Some("arn:aws:acm-pca:::template/EndEntityClientAuthCertificate/V1"),
            ),
            (
                "arn:aws-cn:acm-pca:cn-north-1:123456789012:certificate-authority/0a1b",
                Some("arn:aws-cn:acm-pca:::template/EndEntityClientAuthCertificate/V1"),
            ),
            ("arn:aws:iot:eu-west-1:123456789012:cacert/0a1b", None),
            ("certificate-authority/0a1b", None),
        ] {
            assert_eq!(template(ca).as_deref(), of, "{ca}");
        }
    }
}
