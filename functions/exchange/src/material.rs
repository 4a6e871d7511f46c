use std::sync::Arc;

use ports::{ETag, Fault, ReadObject, Source};
use protocol::{Group, MAX_POOL_BYTES, Manifest, Pool, PoolId};

/// A group's manifest and pools in S3.
pub(crate) struct MaterialSource<O> {
    objects: O,
    group: Group,
}

/// A group's manifest as it was read, and the pools that it accepts.
pub(crate) struct Material {
    pub(crate) manifest: Manifest,
    pub(crate) json: Vec<u8>,
    pub(crate) etag: ETag,
    current: Arc<Pool>,
    previous: Option<Arc<Pool>>,
}

impl Material {
    /// The pool of this id where its proofs are accepted at `now`, Unix time in seconds.
    pub(crate) fn accepted(&self, id: &PoolId, now: u64) -> Option<&Pool> {
        self.all_accepted(now).find(|pool| pool.id() == id)
    }

    /// Every pool whose proofs are accepted at `now`, Unix time in seconds.
    pub(crate) fn all_accepted(&self, now: u64) -> impl Iterator<Item = &Pool> {
        self.pools().map(|pool| &**pool).filter(move |pool| self.manifest.accepts(pool.id(), now))
    }

    fn pools(&self) -> impl Iterator<Item = &Arc<Pool>> {
        std::iter::once(&self.current).chain(&self.previous)
    }
}

impl<O: ReadObject> MaterialSource<O> {
    pub(crate) const fn new(objects: O, group: Group) -> Self {
        Self { objects, group }
    }

    /// The pool of this id, taken over where it is known already.
    async fn pool(&self, id: &PoolId, known: Option<&Material>) -> Result<Arc<Pool>, Fault> {
        let known = known.and_then(|known| known.pools().find(|pool| pool.id() == id).map(Arc::clone));
        if let Some(pool) = known {
            return Ok(pool);
        }
        let object = self.objects.read(&Manifest::pool_key(&self.group, id), None, MAX_POOL_BYTES).await?;
        let mut bytes = object.ok_or(Fault::Missing)?.bytes;
        let pool = Pool::new(bytes.take()).map_err(|_| Fault::Unusable("not a pool"))?;
        if pool.id() == id { Ok(Arc::new(pool)) } else { Err(Fault::Unusable("pool is not what its name says")) }
    }
}

impl<O: ReadObject> Source for MaterialSource<O> {
    type Value = Material;

    async fn load(&self, known: Option<&Material>) -> Result<Option<Material>, Fault> {
        // Where the previous pool could not be read, it is asked for again, whether or not the manifest changed.
        let whole = known.filter(|known| known.previous.is_some() == known.manifest.previous.is_some());
        let tag = whole.map(|known| &known.etag);
        let Some(mut object) = self.objects.read(&Manifest::key(&self.group), tag, Manifest::MAX_BYTES).await? else {
            return Ok(None);
        };
        let manifest = Manifest::from_json(object.bytes.expose()).ok_or(Fault::Unusable("not a manifest"))?;
        if manifest.group != self.group {
            return Err(Fault::Unusable("manifest of another group"));
        }
        let previous = async {
            match &manifest.previous {
                None => Ok(None),
                // An operator may have deleted it, to end it: the current one is not to suffer. (What is missing looks
                // forbidden to a role that may not list.)
                Some(previous) => match self.pool(&previous.id, known).await {
                    Err(fault @ (Fault::Missing | Fault::Forbidden(_))) => {
                        tracing::warn!(error = ports::chain(&fault), group = %self.group, "previous pool cannot be read");
                        Ok(None)
                    }
                    pool => pool.map(Some),
                },
            }
        };
        let (current, previous) = tokio::join!(self.pool(&manifest.pool.id, known), previous);
        let (current, previous) = (current?, previous?);
        if !manifest.pool.describes(&current) {
            return Err(Fault::Unusable("pool is not the one that the manifest describes"));
        }
        Ok(Some(Material { json: object.bytes.take(), etag: object.etag, current, previous, manifest }))
    }
}
