use aws_lc_rs::hmac;
use ports::{Fault, ReadSecret, Source, VersionSelector};
use protocol::{Secret, SecretValue};

/// The least length of a key, in bytes: that of the hash (RFC 2104 section 3).
const MIN_BYTES: usize = 32;

/// A key for HMAC-SHA256 in AWS Secrets Manager: the current version of a text.
///
/// The version before is not looked at. Who replaces the secret ends the codes that are open, and what was signed before does not
/// verify any more.
pub(crate) struct SharedKey<S> {
    secrets: S,
    name: String,
    bytes: fn(&str) -> Option<Vec<u8>>,
}

/// The key, and the version that it was read from.
pub(crate) struct Loaded {
    version_id: String,
    pub(crate) key: hmac::Key,
}

impl<S> SharedKey<S> {
    /// The key in the secret of this name, whose text is turned into the key's bytes by `bytes`.
    pub(crate) const fn new(secrets: S, name: String, bytes: fn(&str) -> Option<Vec<u8>>) -> Self {
        Self { secrets, name, bytes }
    }
}

impl<S: ReadSecret> Source for SharedKey<S> {
    type Value = Loaded;

    async fn load(&self, known: Option<&Loaded>) -> Result<Option<Loaded>, Fault> {
        let version = self.secrets.read(&self.name, VersionSelector::default()).await?;
        if known.is_some_and(|known| known.version_id == version.version_id) {
            return Ok(None);
        }
        let SecretValue::Text(text) = &version.value else { return Err(Fault::Unusable("key is not text")) };
        let bytes = (self.bytes)(text.expose()).map(Secret::new).filter(|bytes| bytes.expose().len() >= MIN_BYTES);
        let bytes = bytes.ok_or(Fault::Unusable("key is too short, or not of its form"))?;
        Ok(Some(Loaded { version_id: version.version_id, key: hmac::Key::new(hmac::HMAC_SHA256, bytes.expose()) }))
    }
}

#[cfg(test)]
mod tests {
    use ports::memory::MemorySecrets;

    use super::*;

    const KEY: &str = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZab";

    fn text(text: &str) -> SecretValue {
        SecretValue::Text(Secret::new(text.to_owned()))
    }

    fn source(secrets: &MemorySecrets) -> SharedKey<MemorySecrets> {
        SharedKey::new(secrets.clone(), "a/key".into(), |text| Some(text.as_bytes().to_vec()))
    }

    #[tokio::test]
    async fn a_key_is_read_again_when_its_secret_changes() {
        let secrets = MemorySecrets::default();
        let source = source(&secrets);
        assert!(matches!(source.load(None).await, Err(Fault::Missing)));
        secrets.put("a/key", text(KEY));
        let first = source.load(None).await.unwrap().unwrap();
        assert!(source.load(Some(&first)).await.unwrap().is_none());
        secrets.put("a/key", text(&KEY.to_uppercase()));
        let second = source.load(Some(&first)).await.unwrap().unwrap();
        let sign = |loaded: &Loaded| hmac::sign(&loaded.key, b"message").as_ref().to_vec();
        assert_ne!(sign(&first), sign(&second));
    }

    #[tokio::test]
    async fn what_is_no_key_is_unusable() {
        let secrets = MemorySecrets::default();
        for bad in [text(""), text(&KEY[..31]), SecretValue::Binary(Secret::new(KEY.into()))] {
            secrets.put("a/key", bad);
            assert!(matches!(source(&secrets).load(None).await, Err(Fault::Unusable(_))));
        }
        secrets.put("a/key", text(KEY));
        let unread = SharedKey::new(secrets, "a/key".into(), |_| None);
        assert!(matches!(unread.load(None).await, Err(Fault::Unusable(_))));
    }
}
