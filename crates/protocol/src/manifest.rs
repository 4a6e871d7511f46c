use serde::{Deserialize, Serialize};

use crate::{
    jwk::Jwk,
    name::{Group, PoolId},
};

/// What the members of a manifest mean; a reader refuses any other version.
const VERSION: u32 = 2;

/// The public description of a group's current pool and of the server key: what a client pulls.
///
/// It stands in S3 as `groups/<group>/manifest.json` and holds nothing secret. Who can write it can make clients send
/// their requests to another server, which learns what they ask for and can answer them; it cannot obtain a credential
/// with what it receives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Manifest {
    /// What the members mean: 2.
    #[cfg_attr(feature = "openapi", schema(value_type = u32, example = 2))]
    version: Version,
    /// Whose manifest this is.
    pub group: Group,
    /// Counts the rotations of the group from 1.
    pub generation: u64,
    /// The deployment's audience, the `aud` of every request.
    pub audience: String,
    /// Base URL of the broker, without a slash at its end.
    pub url: String,
    /// The key that requests are encrypted to.
    pub server_key: Jwk,
    /// The pool that proofs are made from.
    pub pool: PoolEntry,
    /// The pool of the generation before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<PreviousPool>,
}

/// Where a pool is and what it must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PoolEntry {
    /// The first half of `sha256`.
    pub id: PoolId,
    /// Its object key, relative to the root of the bucket: `groups/<group>/pools/<id>`.
    pub key: String,
    /// Its length in bytes.
    pub size: u64,
    /// Its SHA-256 in lower-case hex.
    pub sha256: String,
}

/// A pool that was replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PreviousPool {
    /// Which pool.
    pub id: PoolId,
    /// Until when the broker accepts its proofs, Unix time in seconds.
    pub accept_until: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
struct Version;

impl TryFrom<u32> for Version {
    type Error = &'static str;

    fn try_from(number: u32) -> Result<Self, Self::Error> {
        if number == VERSION { Ok(Self) } else { Err("unknown manifest version") }
    }
}

impl From<Version> for u32 {
    fn from(_: Version) -> Self {
        VERSION
    }
}

impl Manifest {
    /// The largest manifest that a reader takes, in bytes.
    pub const MAX_BYTES: usize = 16 * 1024;

    /// The first generation of a group.
    #[must_use]
    pub const fn first(group: Group, audience: String, url: String, server_key: Jwk, pool: PoolEntry) -> Self {
        Self { version: Version, group, generation: 1, audience, url, server_key, pool, previous: None }
    }

    /// The generation after this one. The pool that it replaces is accepted until `accept_until`.
    #[must_use]
    pub fn next(&self, audience: String, url: String, server_key: Jwk, pool: PoolEntry, accept_until: u64) -> Self {
        Self {
            version: Version,
            group: self.group.clone(),
            generation: self.generation + 1,
            audience,
            url,
            server_key,
            pool,
            previous: Some(PreviousPool { id: self.pool.id.clone(), accept_until }),
        }
    }

    /// Reads a manifest; `None` where it is not of the form that this version knows.
    #[must_use]
    pub fn from_json(json: &[u8]) -> Option<Self> {
        let manifest: Self = serde_json::from_slice(json).ok()?;
        let well_placed = manifest.pool.key == Self::pool_key(&manifest.group, &manifest.pool.id);
        (well_placed && manifest.pool.sha256.starts_with(manifest.pool.id.as_str())).then_some(manifest)
    }

    /// The manifest as it is stored: indented, for people.
    ///
    /// # Panics
    /// Never: every member serializes.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("a manifest serializes")
    }

    /// Whether proofs from this pool are accepted at `now`, Unix time in seconds.
    #[must_use]
    pub fn accepts(&self, pool: &PoolId, now: u64) -> bool {
        self.pool.id == *pool || self.previous.as_ref().is_some_and(|p| p.id == *pool && now < p.accept_until)
    }

    /// The object key of a group's manifest.
    #[must_use]
    pub fn key(group: &Group) -> String {
        format!("groups/{group}/manifest.json")
    }

    /// The object key of a group's pool.
    #[must_use]
    pub fn pool_key(group: &Group, pool: &PoolId) -> String {
        format!("groups/{group}/pools/{pool}")
    }
}

impl PoolEntry {
    /// The entry of a pool of this group.
    #[must_use]
    pub fn of(group: &Group, pool: &crate::pool::Pool) -> Self {
        Self {
            id: pool.id().clone(),
            key: Manifest::pool_key(group, pool.id()),
            size: pool.expose().len() as u64,
            sha256: pool.sha256().to_owned(),
        }
    }

    /// Whether this is that pool, byte for byte.
    #[must_use]
    pub fn describes(&self, pool: &crate::pool::Pool) -> bool {
        self.size == pool.expose().len() as u64 && self.sha256 == pool.sha256()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{pool::Pool, random::SystemRandom};

    fn manifest() -> Manifest {
        let group: Group = "web".parse().unwrap();
        let entry = PoolEntry::of(&group, &Pool::generate(&SystemRandom));
        let server_key = Jwk::new(&[0xc5; 256], &[1, 0, 1]);
        Manifest::first(group, "countersign".into(), "https://broker.example".into(), server_key, entry)
    }

    fn changed(pointer: &str, value: Value) -> Option<Manifest> {
        let mut json: Value = serde_json::from_slice(&manifest().to_json()).unwrap();
        let (parent, member) = pointer.rsplit_once('/').unwrap();
        json.pointer_mut(parent).unwrap()[member] = value;
        Manifest::from_json(&serde_json::to_vec(&json).unwrap())
    }

    #[test]
    fn what_was_written_reads_back() {
        let first = manifest();
        assert_eq!(Manifest::from_json(&first.to_json()).unwrap(), first);
        let second = first.next("a".into(), "u".into(), first.server_key.clone(), first.pool.clone(), 7);
        assert_eq!(Manifest::from_json(&second.to_json()).unwrap(), second);
        assert_eq!((second.generation, second.previous.unwrap().accept_until), (2, 7));
    }

    #[test]
    fn a_later_version_may_add_members() {
        for pointer in ["/added", "/pool/added", "/server_key/added"] {
            assert!(changed(pointer, json!(1)).is_some(), "{pointer}");
        }
    }

    #[test]
    fn a_manifest_of_another_form_is_refused() {
        for (name, pointer, value) in [
            ("another_version", "/version", json!(3)),
            ("version_as_text", "/version", json!("2")),
            ("a_group_that_leaves_its_folder", "/group", json!("../web")),
            ("another_groups_pool", "/group", json!("batch")),
            ("a_pool_outside_its_folder", "/pool/key", json!("groups/web/pools/../../batch/manifest.json")),
            ("an_absolute_pool", "/pool/key", json!("/etc/passwd")),
            ("an_id_that_is_not_the_digests", "/pool/id", json!("0".repeat(32))),
            ("a_digest_that_is_not_the_ids", "/pool/sha256", json!("0".repeat(64))),
            ("a_size_that_is_no_number", "/pool/size", json!("large")),
            ("no_pool", "/pool", json!(null)),
            ("another_algorithm", "/server_key/alg", json!("RSA1_5")),
            ("another_use", "/server_key/use", json!("sig")),
            ("a_key_without_its_id", "/server_key/kid", json!("")),
            ("a_previous_pool_without_an_end", "/previous", json!({ "id": "0".repeat(32) })),
        ] {
            assert!(changed(pointer, value).is_none(), "{name}");
        }
        assert!(Manifest::from_json(b"[]").is_none() && Manifest::from_json(b"").is_none());
    }
}
