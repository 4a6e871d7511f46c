//! What a registrar keeps between requests: the CA, and its provisioner's key. That there is none is worth keeping as well.

use std::sync::Arc;

use ports::{ETag, Fault, ReadObject, ReadSecret, Source, Stage, VersionSelector};
use protocol::SecretValue;

use crate::{Ca, ProvisionerKey, ProvisionerKind};

/// The CA as it stands in a bucket.
pub(crate) struct CaSource<O>(pub(crate) O);

/// The CA, and the object that says so.
pub(crate) struct KnownCa {
    pub(crate) ca: Option<Arc<Ca>>,
    etag: Option<ETag>,
}

impl<O: ReadObject> Source for CaSource<O> {
    type Value = KnownCa;

    async fn load(&self, known: Option<&KnownCa>) -> Result<Option<KnownCa>, Fault> {
        let etag = known.and_then(|known| known.etag.as_ref());
        match self.0.read(Ca::OBJECT, etag, Ca::MAX_BYTES).await {
            Ok(None) => Ok(None),
            Ok(Some(object)) => {
                let ca = Ca::from_json(object.bytes.expose()).ok_or(Fault::Unusable("not the address of a CA"))?;
                Ok(Some(KnownCa { ca: Some(Arc::new(ca)), etag: Some(object.etag) }))
            }
            Err(Fault::Missing) => Ok(Some(KnownCa { ca: None, etag: None })),
            // S3's answer where there is no object and the role may not list it.
            Err(Fault::Forbidden(_)) if known.is_none_or(|known| known.ca.is_none()) => {
                Ok(Some(KnownCa { ca: None, etag: None }))
            }
            Err(fault) => Err(fault),
        }
    }
}

/// The key of a provisioner in AWS Secrets Manager, of this stage.
pub(crate) struct KeySource<S> {
    pub(crate) secrets: Arc<S>,
    pub(crate) kind: ProvisionerKind,
    pub(crate) name: String,
    pub(crate) stage: Stage,
}

/// The key, and its version.
pub(crate) struct KnownKey {
    pub(crate) key: Option<Arc<ProvisionerKey>>,
    version_id: Option<String>,
}

impl<S: ReadSecret> Source for KeySource<S> {
    type Value = KnownKey;

    async fn load(&self, known: Option<&KnownKey>) -> Result<Option<KnownKey>, Fault> {
        let selector = VersionSelector { id: None, stage: Some(self.stage.label()) };
        let version = match self.secrets.read(&self.name, selector).await {
            Ok(version) => version,
            Err(Fault::Missing) => return Ok(Some(KnownKey { key: None, version_id: None })),
            Err(fault) => return Err(fault),
        };
        if known.is_some_and(|known| known.version_id.as_ref() == Some(&version.version_id)) {
            return Ok(None);
        }
        let SecretValue::Text(json) = &version.value else { return Err(Fault::Unusable("private key is not text")) };
        let key = ProvisionerKey::from_json(self.kind, json.expose())
            .map_err(|_| Fault::Unusable("private key is not one of the provisioner's kind"))?;
        Ok(Some(KnownKey { key: Some(Arc::new(key)), version_id: Some(version.version_id) }))
    }
}
