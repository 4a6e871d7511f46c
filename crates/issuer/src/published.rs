use access_token::{KeySet, PublicKey};
use ports::{ETag, Fault, MAX_STALE, ReadObject, Source};
use protocol::KeyId;
use serde::{Deserialize, Serialize};

/// How long verifiers may keep the issuer's keys, in seconds: the `max-age` of `/.well-known/jwks.json`.
pub const KEYS_MAX_AGE: u64 = 300;

/// How long a key is published before it signs, in seconds: by then every copy is newer than the key, even that of a verifier which
/// got it from a function that had not reached S3 for as long as it goes on without.
pub const PUBLISHED_BEFORE_SIGNING: u64 = KEYS_MAX_AGE + MAX_STALE.as_secs() + 60;

/// The issuer's public keys as they stand in S3: a JWK Set, the newest key first, whose keys have two members of our own. It is
/// the commit point of a token key's rotation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedKeys {
    keys: Vec<PublishedKey>,
}

/// A public key and its times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedKey {
    /// The key.
    #[serde(flatten)]
    pub key: PublicKey,
    /// From this Unix time on, in seconds, it signs, until a newer one does.
    pub signs_from: u64,
    /// From this Unix time on, in seconds, it verifies no more: its last token has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<u64>,
}

impl PublishedKey {
    fn is_live(&self, now: u64) -> bool {
        self.ends_at.is_none_or(|ends_at| now < ends_at)
    }
}

impl PublishedKeys {
    /// Where they stand in the bucket.
    pub const OBJECT: &'static str = "token/jwks.json";

    /// The largest object that is read.
    pub const MAX_BYTES: usize = 64 * 1024;

    /// The first key of all, which signs at once.
    #[must_use]
    pub fn first(key: PublicKey) -> Self {
        Self { keys: vec![PublishedKey { key, signs_from: 0, ends_at: None }] }
    }

    /// With a new key, which signs once every verifier has it. Those before end when the last token that they may sign, of at
    /// most `max_token_seconds`, has ended; what has ended already is left out.
    #[must_use]
    pub fn next(&self, key: PublicKey, now: u64, max_token_seconds: u32) -> Self {
        let signs_from = now + PUBLISHED_BEFORE_SIGNING;
        // A function that does not reach S3 goes on signing with the key before.
        let ends_at = signs_from + MAX_STALE.as_secs() + u64::from(max_token_seconds);
        let new = PublishedKey { key, signs_from, ends_at: None };
        let is_kept = |before: &&PublishedKey| before.is_live(now) && before.key != new.key;
        let before = self.keys.iter().filter(is_kept).cloned();
        let before = before.map(|before| PublishedKey { ends_at: Some(before.ends_at.unwrap_or(ends_at)), ..before });
        let before: Vec<_> = before.collect();
        Self { keys: std::iter::once(new).chain(before).collect() }
    }

    /// Whether tokens of a key that was replaced may still be valid.
    #[must_use]
    pub fn has_ending_tokens(&self, now: u64) -> bool {
        self.keys.iter().any(|key| key.ends_at.is_some() && key.is_live(now))
    }

    /// Whether this key is the newest.
    #[must_use]
    pub fn begins_with(&self, key: &PublicKey) -> bool {
        self.keys.first().is_some_and(|newest| newest.key == *key)
    }

    /// The keys that verify.
    #[must_use]
    pub fn live(&self, now: u64) -> KeySet {
        self.keys.iter().filter(|key| key.is_live(now)).map(|key| key.key.clone()).collect()
    }

    /// The key that signs.
    #[must_use]
    pub fn signing(&self, now: u64) -> Option<&KeyId> {
        let signing = self.keys.iter().filter(|key| key.signs_from <= now && key.is_live(now));
        Some(signing.max_by_key(|key| key.signs_from)?.key.kid())
    }

    /// Reads the object; `None` where it is not of this form.
    #[must_use]
    pub fn from_json(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    /// The object.
    ///
    /// # Panics
    /// Never: keys serialize.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("keys serialize")
    }
}

/// The published keys in a bucket.
#[derive(Clone, Debug)]
pub struct PublishedSource<O>(pub O);

impl<O: ReadObject> Source for PublishedSource<O> {
    type Value = (PublishedKeys, ETag);

    async fn load(&self, known: Option<&Self::Value>) -> Result<Option<Self::Value>, Fault> {
        let known = known.map(|(_, etag)| etag);
        let Some(object) = self.0.read(PublishedKeys::OBJECT, known, PublishedKeys::MAX_BYTES).await? else {
            return Ok(None);
        };
        let keys = PublishedKeys::from_json(object.bytes.expose()).ok_or(Fault::Unusable("not the issuer's keys"))?;
        Ok(Some((keys, object.etag)))
    }
}

#[cfg(test)]
mod tests {
    use access_token::SigningKey;

    use super::*;

    const DAY: u32 = 86_400;

    fn key() -> PublicKey {
        SigningKey::from_pem(SigningKey::generate().expose()).unwrap().public().clone()
    }

    #[test]
    fn a_new_key_signs_once_it_is_known_and_the_old_one_ends_with_its_last_token() {
        let (old, new) = (key(), key());
        let now = 1_000_000;
        let first = PublishedKeys::first(old.clone());
        assert_eq!(first.signing(now), Some(old.kid()));
        assert!(!first.has_ending_tokens(now));
        let second = first.next(new.clone(), now, DAY);
        assert!(second.begins_with(&new) && !second.begins_with(&old));
        let signs_from = now + PUBLISHED_BEFORE_SIGNING;
        assert_eq!(second.signing(signs_from - 1), Some(old.kid()));
        assert_eq!(second.signing(signs_from), Some(new.kid()));
        // A token of the last second in which a function may sign with the old key.
        let last_end = signs_from + MAX_STALE.as_secs() - 1 + u64::from(DAY);
        assert_eq!(second.live(last_end).keys(), [new.clone(), old]);
        assert!(second.has_ending_tokens(last_end));
        assert_eq!(second.live(last_end + 1).keys(), [new]);
        assert!(!second.has_ending_tokens(last_end + 1));
    }

    #[test]
    fn a_key_that_ended_is_left_out_of_the_next_set() {
        let keys = [key(), key(), key()];
        let now = 1_000_000;
        let second = PublishedKeys::first(keys[0].clone()).next(keys[1].clone(), now, DAY);
        let soon = second.next(keys[2].clone(), now + 10, DAY);
        assert_eq!(soon.live(now + 10).keys().len(), 3, "none is lost while its tokens live");
        let late = second.next(keys[2].clone(), now + 3 * u64::from(DAY), DAY);
        assert_eq!(late.live(now).keys(), [keys[2].clone(), keys[1].clone()]);
    }

    #[test]
    fn the_object_is_a_jwk_set_with_two_members_more() {
        let keys = PublishedKeys::first(key()).next(key(), 1_000_000, DAY);
        let json = keys.to_json();
        assert_eq!(PublishedKeys::from_json(&json), Some(keys.clone()));
        assert_eq!(KeySet::from_json(&json).unwrap(), keys.live(1_000_000));
        let public = String::from_utf8(keys.live(1_000_000).to_json()).unwrap();
        assert!(!public.contains("signs_from") && !public.contains("ends_at"));
        assert_eq!(PublishedKeys::from_json(br#"{"keys":[{"kty":"EC"}]}"#), None);
    }
}
