use countersign::{
    AccessKey, Error, Secret, Want, access_key_document,
    config::{Config, Given},
    credential_process_document,
    deliver::RuntimeFolder,
    endpoint::{self, EndpointError},
};

use crate::{
    agent_args::CredentialProcess,
    commands::{self, print, usage},
    needs_args::config_file,
};

pub(crate) async fn run(asked: CredentialProcess) -> Result<(), Error> {
    let document = if asked.agent { of_agent(asked).await } else { of_broker(asked).await };
    print(document?.expose())
}

async fn of_broker(asked: CredentialProcess) -> Result<Secret<Vec<u8>>, Error> {
    let CredentialProcess { secret, role, seconds, common, .. } = asked;
    match (secret, role) {
        (Some(id), _) => {
            let secret = commands::secret(common, Want::Secret { id, version_id: None, version_stage: None }).await?;
            Ok(access_key_document(&AccessKey::from_secret(&secret.value)?))
        }
        (None, Some(role)) => Ok(credential_process_document(&commands::credentials(common, role, seconds).await?)),
        (None, None) => usage("a secret or --role is required"),
    }
}

async fn of_agent(asked: CredentialProcess) -> Result<Secret<Vec<u8>>, Error> {
    let CredentialProcess { secret, role, config, listen, .. } = asked;
    let config = Config::new(config_file(config.as_deref())?, Given { listen, ..Given::default() })?;
    let settings = config.endpoint.ok_or(EndpointError::NotConfigured)?;
    let token_file = RuntimeFolder::new(config.runtime.as_deref())?.resolve(&settings.token_file);
    match (secret, role) {
        (Some(id), _) => Ok(access_key_document(&endpoint::access_key(&settings, &token_file, &id).await?)),
        (None, Some(role)) => endpoint::credentials(&settings, &token_file, &role).await,
        (None, None) => usage("a secret or --role is required"),
    }
}
