use aws_sdk_ssm::{Client, types::ParameterType};
use ports::{Fault, ReadParameter, ReadSecureParameter};
use protocol::Secret;

use crate::{Connection, connection::fault};

/// AWS Systems Manager Parameter Store.
#[derive(Clone, Debug)]
pub struct ParameterStore(Client);

impl ParameterStore {
    /// A client.
    #[must_use]
    pub fn new(connection: &Connection) -> Self {
        Self(Client::new(&connection.0))
    }
}

impl ReadParameter for ParameterStore {
    /// `ssm:GetParameter`.
    async fn read(&self, name: &str) -> Result<String, Fault> {
        let found = self.0.get_parameter().name(name).send().await.map_err(|error| fault(&error))?;
        found.parameter.and_then(|parameter| parameter.value).ok_or(Fault::Unusable("parameter without a value"))
    }
}

impl ReadSecureParameter for ParameterStore {
    /// `ssm:GetParameter`, and `kms:Decrypt` with the parameter's key.
    async fn read_secure(&self, name: &str) -> Result<Secret<String>, Fault> {
        let get = self.0.get_parameter().name(name).with_decryption(true);
        let found = get.send().await.map_err(|error| fault(&error))?.parameter;
        let found = found.ok_or(Fault::Unusable("parameter without a value"))?;
        let value = found.value.map(Secret::new).ok_or(Fault::Unusable("parameter without a value"))?;
        match found.r#type {
            Some(ParameterType::SecureString) => Ok(value),
            _ => Err(Fault::Unusable("parameter is no SecureString")),
        }
    }
}
