use aws_sdk_ssm::types::ParameterType;
use ports::{Fault, ReadSecureParameter, RegisterCa, WriteSecureParameter};
use protocol::Secret;

use crate::{
    Connection, ParameterStore,
    connection::{fault, request_fault},
};

/// What the registration of a CA needs: AWS IoT's CAs, and AWS Systems Manager Parameter Store for their keys.
#[derive(Clone, Debug)]
pub struct CaRegistry {
    iot: aws_sdk_iot::Client,
    ssm: aws_sdk_ssm::Client,
    parameters: ParameterStore,
}

impl CaRegistry {
    /// A client.
    #[must_use]
    pub fn new(connection: &Connection) -> Self {
        let (iot, ssm) = (aws_sdk_iot::Client::new(&connection.0), aws_sdk_ssm::Client::new(&connection.0));
        Self { iot, ssm, parameters: ParameterStore::new(connection) }
    }
}

impl RegisterCa for CaRegistry {
    /// `iot:GetRegistrationCode`.
    async fn registration_code(&self) -> Result<String, Fault> {
        let answer = self.iot.get_registration_code().send().await.map_err(|error| request_fault(&error))?;
        answer.registration_code.ok_or(Fault::Unusable("registration code is missing"))
    }

    /// `iot:DescribeCACertificate`.
    async fn ca_status(&self, id: &str) -> Result<Option<String>, Fault> {
        let answer = self.iot.describe_ca_certificate().certificate_id(id).send().await;
        let answer = match answer.map_err(|error| request_fault(&error)) {
            Err(Fault::Missing) => return Ok(None),
            answer => answer?,
        };
        let status = answer.certificate_description.and_then(|description| description.status);
        status.map(|status| Some(status.as_str().to_owned())).ok_or(Fault::Unusable("CA without a status"))
    }

    /// `iot:RegisterCACertificate`.
    async fn register_ca(
        &self,
        ca_pem: &str,
        verification_pem: &str,
        auto_registration: bool,
    ) -> Result<String, Fault> {
        let request = self
            .iot
            .register_ca_certificate()
            .ca_certificate(ca_pem)
            .verification_certificate(verification_pem)
            .set_as_active(true)
            .allow_auto_registration(auto_registration);
        let answer = request.send().await.map_err(|error| request_fault(&error))?;
        answer.certificate_id.ok_or(Fault::Unusable("registered CA without an id"))
    }
}

impl WriteSecureParameter for CaRegistry {
    /// `ssm:PutParameter`, and `kms:Encrypt` on a key that is named.
    async fn write_secure(&self, name: &str, value: &Secret<String>, kms_key: Option<&str>) -> Result<(), Fault> {
        let request = self
            .ssm
            .put_parameter()
            .name(name)
            .value(value.expose())
            .r#type(ParameterType::SecureString)
            .set_key_id(kms_key.map(str::to_owned))
            .overwrite(false);
        request.send().await.map(|_| ()).map_err(|error| match error.as_service_error() {
            Some(refused) if refused.is_parameter_already_exists() => Fault::Conflict,
            Some(refused) if refused.is_invalid_key_id() => {
                Fault::Invalid(refused.meta().message().unwrap_or("no such key of AWS KMS").to_owned().into())
            }
            _ => fault(&error),
        })
    }
}

impl ReadSecureParameter for CaRegistry {
    /// As [`ParameterStore`] does.
    async fn read_secure(&self, name: &str) -> Result<Secret<String>, Fault> {
        self.parameters.read_secure(name).await
    }
}
