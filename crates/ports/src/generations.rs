use std::{marker::PhantomData, sync::Arc};

use protocol::{SecretValue, ServerKey};

use crate::{Fault, ReadSecret, Source, Stage, VersionSelector};

/// A private key that is kept as PEM.
pub trait PemKey: Send + Sync + Sized + 'static {
    /// Reads the key; `None` where the text is not one of this kind.
    fn from_pem(pem: &str) -> Option<Self>;
}

impl PemKey for ServerKey {
    fn from_pem(pem: &str) -> Option<Self> {
        Self::from_pem(pem).ok()
    }
}

/// A private key in AWS Secrets Manager: `AWSCURRENT` and `AWSPREVIOUS` are the two live generations.
pub struct KeySource<S, K> {
    secrets: S,
    name: String,
    kind: PhantomData<fn() -> K>,
}

/// The live keys. The version ids tell whether a generation must be parsed anew.
pub struct Generations<K> {
    current: Generation<K>,
    previous: Option<Generation<K>>,
}

struct Generation<K> {
    version_id: String,
    key: Arc<K>,
}

impl<K> Clone for Generation<K> {
    fn clone(&self) -> Self {
        Self { version_id: self.version_id.clone(), key: Arc::clone(&self.key) }
    }
}

impl<K> Generations<K> {
    /// Every live key, the current one first. A key may be there twice.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<K>> {
        self.generations().map(|generation| &generation.key)
    }

    /// Whether these are the same generations.
    #[must_use]
    pub fn are(&self, other: &Self) -> bool {
        self.generations()
            .map(|generation| &generation.version_id)
            .eq(other.generations().map(|other| &other.version_id))
    }

    fn generations(&self) -> impl Iterator<Item = &Generation<K>> {
        std::iter::once(&self.current).chain(&self.previous)
    }
}

impl<S, K> KeySource<S, K> {
    /// The key in the secret of this name.
    pub const fn new(secrets: S, name: String) -> Self {
        Self { secrets, name, kind: PhantomData }
    }
}

impl<S: ReadSecret, K: PemKey> KeySource<S, K> {
    async fn generation(&self, stage: Stage, known: Option<&Generations<K>>) -> Result<Generation<K>, Fault> {
        let selector = VersionSelector { id: None, stage: Some(stage.label()) };
        let version = self.secrets.read(&self.name, selector).await?;
        let known =
            known.and_then(|keys| keys.generations().find(|generation| generation.version_id == version.version_id));
        if let Some(known) = known {
            return Ok(known.clone());
        }
        let SecretValue::Text(pem) = &version.value else { return Err(Fault::Unusable("private key is not text")) };
        let key = K::from_pem(pem.expose()).ok_or(Fault::Unusable("private key is not a key of its kind"))?;
        Ok(Generation { version_id: version.version_id, key: Arc::new(key) })
    }
}

impl<S: ReadSecret, K: PemKey> Source for KeySource<S, K> {
    type Value = Generations<K>;

    async fn load(&self, known: Option<&Generations<K>>) -> Result<Option<Generations<K>>, Fault> {
        // In this order: a rotation in between gives one key twice. In the other order, or at once, the key that
        // clients use could be missed.
        let current = self.generation(Stage::Current, known).await?;
        let previous = match self.generation(Stage::Previous, known).await {
            Err(Fault::Missing) => None,
            previous => Some(previous?),
        };
        Ok(Some(Generations { current, previous }))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use protocol::Secret;

    use super::*;
    use crate::{SecretVersion, memory::MemorySecrets};

    /// Any text that begins as a key does here.
    #[derive(Debug, PartialEq)]
    struct Key(String);

    impl PemKey for Key {
        fn from_pem(pem: &str) -> Option<Self> {
            pem.starts_with("key").then(|| Self(pem.to_owned()))
        }
    }

    fn text(text: &str) -> SecretValue {
        SecretValue::Text(Secret::new(text.to_owned()))
    }

    fn source<S: ReadSecret>(secrets: S) -> KeySource<S, Key> {
        KeySource::new(secrets, "app/key".into())
    }

    fn names(keys: &Generations<Key>) -> Vec<&str> {
        keys.iter().map(|key| key.0.as_str()).collect()
    }

    #[tokio::test]
    async fn the_live_keys_are_the_current_one_and_the_one_before() {
        let secrets = MemorySecrets::default();
        let source = source(secrets.clone());
        let mut seen: Vec<Generations<Key>> = Vec::new();
        for (key, live) in
            [("key 1", vec!["key 1"]), ("key 2", vec!["key 2", "key 1"]), ("key 3", vec!["key 3", "key 2"])]
        {
            secrets.put("app/key", text(key));
            let keys = source.load(seen.last()).await.unwrap().unwrap();
            assert_eq!(names(&keys), live);
            assert!(seen.iter().all(|before| !before.are(&keys)), "{key}");
            let again = source.load(Some(&keys)).await.unwrap().unwrap();
            assert!(again.are(&keys));
            seen.push(keys);
        }
    }

    #[tokio::test]
    async fn a_known_generation_is_not_parsed_again() {
        let secrets = MemorySecrets::default();
        let source = source(secrets.clone());
        secrets.put("app/key", text("key 1"));
        let first = source.load(None).await.unwrap().unwrap();
        secrets.put("app/key", text("key 2"));
        let second = source.load(Some(&first)).await.unwrap().unwrap();
        assert!(Arc::ptr_eq(first.iter().next().unwrap(), second.iter().nth(1).unwrap()));
    }

    #[tokio::test]
    async fn what_is_no_key_is_unusable_and_no_secret_is_missing() {
        let secrets = MemorySecrets::default();
        assert!(matches!(source(secrets.clone()).load(None).await, Err(Fault::Missing)));
        for bad in [text("lock"), SecretValue::Binary(Secret::new(b"key 1".to_vec()))] {
            secrets.put("app/key", bad);
            assert!(matches!(source(secrets.clone()).load(None).await, Err(Fault::Unusable(_))));
        }
    }

    /// Writes a new version after the first read.
    struct RotatedMeanwhile {
        secrets: MemorySecrets,
        rotated: AtomicBool,
    }

    impl ReadSecret for RotatedMeanwhile {
        async fn read(&self, name: &str, version: VersionSelector<'_>) -> Result<SecretVersion, Fault> {
            let read = self.secrets.read(name, version).await;
            if !self.rotated.swap(true, Ordering::Relaxed) {
                self.secrets.put(name, text("key 3"));
            }
            read
        }
    }

    #[tokio::test]
    async fn a_rotation_in_between_does_not_hide_the_key_that_was_current() {
        let secrets = MemorySecrets::default();
        secrets.put("app/key", text("key 1"));
        secrets.put("app/key", text("key 2"));
        let source = source(RotatedMeanwhile { secrets, rotated: AtomicBool::new(false) });
        assert_eq!(names(&source.load(None).await.unwrap().unwrap()), ["key 2", "key 2"]);
        assert_eq!(names(&source.load(None).await.unwrap().unwrap()), ["key 3", "key 2"]);
    }
}
