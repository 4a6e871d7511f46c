use aws_sdk_ssm::Client;
use ports::{Fault, ReadParameter};

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
