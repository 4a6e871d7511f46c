use std::sync::Arc;

use ports::{Fault, ReadSecret, Source, Stage, VersionSelector};
use protocol::{KeyId, SecretValue, ServerKey};

/// The server key in AWS Secrets Manager: `AWSCURRENT` and `AWSPREVIOUS` are the two live generations.
pub(crate) struct KeySource<S> {
    secrets: S,
    name: String,
}

/// The live server keys. The version ids tell whether a generation must be parsed anew.
pub(crate) struct ServerKeys {
    current: Generation,
    previous: Option<Generation>,
}

#[derive(Clone)]
struct Generation {
    version_id: String,
    key: Arc<ServerKey>,
}

impl ServerKeys {
    pub(crate) fn find(&self, kid: &KeyId) -> Option<Arc<ServerKey>> {
        self.generations().find(|generation| generation.key.public().kid() == kid).map(|found| Arc::clone(&found.key))
    }

    /// Every live key.
    pub(crate) fn live(&self) -> impl Iterator<Item = &ServerKey> {
        self.generations().map(|generation| &*generation.key)
    }

    /// Whether these are the same generations.
    pub(crate) fn are(&self, other: &Self) -> bool {
        self.generations()
            .map(|generation| &generation.version_id)
            .eq(other.generations().map(|other| &other.version_id))
    }

    fn generations(&self) -> impl Iterator<Item = &Generation> {
        std::iter::once(&self.current).chain(&self.previous)
    }
}

impl<S: ReadSecret> KeySource<S> {
    pub(crate) const fn new(secrets: S, name: String) -> Self {
        Self { secrets, name }
    }

    async fn generation(&self, stage: Stage, known: Option<&ServerKeys>) -> Result<Generation, Fault> {
        let selector = VersionSelector { id: None, stage: Some(stage.label()) };
        let version = self.secrets.read(&self.name, selector).await?;
        let known =
            known.and_then(|keys| keys.generations().find(|generation| generation.version_id == version.version_id));
        if let Some(known) = known {
            return Ok(known.clone());
        }
        let SecretValue::Text(pem) = &version.value else { return Err(Fault::Unusable("server key is not text")) };
        let key = ServerKey::from_pem(pem.expose()).map_err(|_| Fault::Unusable("server key is not a key"))?;
        Ok(Generation { version_id: version.version_id, key: Arc::new(key) })
    }
}

impl<S: ReadSecret> Source for KeySource<S> {
    type Value = ServerKeys;

    async fn load(&self, known: Option<&ServerKeys>) -> Result<Option<ServerKeys>, Fault> {
        // In this order: a rotation in between gives one key twice. In the other order, or at once, the key that
        // clients use could be missed.
        let current = self.generation(Stage::Current, known).await?;
        let previous = match self.generation(Stage::Previous, known).await {
            Err(Fault::Missing) => None,
            previous => Some(previous?),
        };
        Ok(Some(ServerKeys { current, previous }))
    }
}
