use aws_sdk_secretsmanager::Client;
use ports::{AppendSecret, Fault, FindSecret, ReadSecret, SecretVersion, VersionSelector};
use protocol::{Secret, SecretValue};

use crate::{Connection, connection::fault};

/// AWS Secrets Manager in this program's account and region.
#[derive(Clone, Debug)]
pub struct SecretsManager(Client);

impl SecretsManager {
    /// A client.
    #[must_use]
    pub fn new(connection: &Connection) -> Self {
        Self(Client::new(&connection.0))
    }
}

impl ReadSecret for SecretsManager {
    /// `secretsmanager:GetSecretValue`.
    async fn read(&self, name: &str, version: VersionSelector<'_>) -> Result<SecretVersion, Fault> {
        let found = self
            .0
            .get_secret_value()
            .secret_id(name)
            .set_version_id(version.id.map(str::to_owned))
            .set_version_stage(version.stage.map(str::to_owned))
            .send()
            .await
            .map_err(|error| fault(&error))?;
        let value = match (found.secret_string, found.secret_binary) {
            // AWS stores no empty text, and answers of a secret without a value that there is none; emulators give it so.
            (Some(text), None) if text.is_empty() => return Err(Fault::Missing),
            (None, None) => return Err(Fault::Missing),
            (Some(text), None) => SecretValue::Text(Secret::new(text)),
            (None, Some(bytes)) => SecretValue::Binary(Secret::new(bytes.into_inner())),
            (Some(_), Some(_)) => return Err(Fault::Unusable("secret is both text and binary")),
        };
        Ok(SecretVersion {
            version_id: found.version_id.ok_or(Fault::Unusable("secret without a version id"))?,
            created_at: found.created_date.and_then(|date| u64::try_from(date.secs()).ok()).unwrap_or_default(),
            version_stages: found.version_stages.unwrap_or_default(),
            value,
        })
    }
}

impl FindSecret for SecretsManager {
    /// `secretsmanager:DescribeSecret`. One that is scheduled for deletion is none: it takes no value.
    async fn exists(&self, name: &str) -> Result<bool, Fault> {
        match self.0.describe_secret().secret_id(name).send().await.map_err(|error| fault(&error)) {
            Ok(found) => Ok(found.deleted_date.is_none()),
            Err(Fault::Missing) => Ok(false),
            Err(fault) => Err(fault),
        }
    }
}

impl AppendSecret for SecretsManager {
    /// `secretsmanager:PutSecretValue`, with the token as `ClientRequestToken`.
    async fn append(&self, name: &str, value: &Secret<String>, token: &str) -> Result<(), Fault> {
        self.0
            .put_secret_value()
            .secret_id(name)
            .secret_string(value.expose())
            .client_request_token(token)
            .send()
            .await
            .map(|_| ())
            .map_err(|error| fault(&error))
    }
}
