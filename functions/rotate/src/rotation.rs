use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use ports::{
    AppendSecret, Clock, DeleteObject, ETag, Fault, ListObjects, Precondition, PublishMaterial, ReadObject,
    ReadParameter, ReadSecret, SecretVersion, Stage, VersionSelector, WriteObject,
};
use protocol::{Group, Jwk, Manifest, Pool, PoolEntry, PoolId, Random, Secret, SecretValue, ServerKey};
use serde::{Deserialize, Serialize};

use crate::{
    Config, Published,
    copies::{copy_for_v1, publish},
    token_key::{TokenKey, rotate_token_key},
    x5c_leaf::{X5cLeaf, rotate_x5c_leaf},
};

/// How long a deletion may take: the groups that are still to be rotated wait for it.
const DELETE_PATIENCE: Duration = Duration::from_secs(5);

/// Every manifest's key starts with it.
const GROUPS_PREFIX: &str = "groups/";

/// What a rotation works on.
#[derive(Clone, Debug)]
pub struct Adapters<O, S, P, R, C> {
    /// Manifests and pools.
    pub objects: O,
    /// The server key and the token key.
    pub secrets: S,
    /// The broker's URL.
    pub parameters: P,
    /// Where material is published.
    pub registry: R,
    /// The time.
    pub clock: C,
}

/// What a rotation is asked for, as the function's event. `{}` is a rotation by hand.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Make no new key where the current one is younger than this: the schedule's safeguard against being delivered
    /// twice and against being tried again after all was done.
    #[serde(default)]
    pub unless_younger_than_seconds: u64,
    /// Give a first generation to groups that have none, under the current key where there is one.
    #[serde(default)]
    pub new_groups_only: bool,
    /// End every access token: make a new token key in any case, and publish it alone. For a key that somebody got hold of.
    #[serde(default)]
    pub end_tokens: bool,
}

/// What a rotation did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether a new server key was made. Otherwise the current one was given to the groups that did not have it: an
    /// earlier run ended before it came to them, or they are new.
    pub new_server_key: bool,
    /// The server key that every group's manifest names now.
    pub kid: String,
    /// Whether a new token key was made. Otherwise the current one stays, as long as tokens of the one before may be valid.
    pub new_token_key: bool,
    /// The newest token key.
    pub token_kid: String,
    /// The groups that got a new generation.
    pub rotated: Vec<Rotated>,
    /// The certificate for one-time tokens of a step-ca, where an operator gave the deployment an intermediate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub x5c_leaf: Option<X5cLeaf>,
    /// Why there is no new one, where there is none. The rotation went on all the same; the next one tries again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub x5c_leaf_failed: Option<String>,
    /// Why v1 clients do not find the generation, where they do not. It is committed all the same; `new_groups_only` copies again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub v1_copies_failed: Option<String>,
    /// What is in the npm registry, where one is configured.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub published: Vec<Published>,
}

impl Report {
    /// What failed and did not end the rotation: its name in the audit log, and why.
    pub fn failures(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let failures =
            [("rotate:x5c_leaf", &self.x5c_leaf_failed), ("rotate:v1_copies", &self.v1_copies_failed)].into_iter();
        failures.filter_map(|(action, reason)| Some((action, reason.as_deref()?)))
    }
}

/// A group's new generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rotated {
    /// The group.
    pub group: String,
    /// Its generation now.
    pub generation: u64,
    /// Its pool now.
    pub pool_id: String,
    /// The pool that is accepted no longer, and was deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted_pool_id: Option<String>,
}

/// Why a rotation stopped. What it had committed stays; running it again goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// A service gave no answer.
    #[error("could not {step}")]
    Fault {
        /// What was to be done.
        step: &'static str,
        /// Why it could not.
        #[source]
        source: Fault,
    },
    /// Somebody else rotates at this moment.
    #[error("another rotation is under way")]
    Interleaved,
    /// The secret holds something else than a server key.
    #[error("the server key's secret does not hold a key")]
    InvalidKey,
    /// The secret holds something else than a token key.
    #[error("the token key's secret does not hold a key")]
    InvalidTokenKey,
    /// The intermediate of a step-ca's provisioner cannot be read, or issues nothing.
    #[error("the intermediate of step-ca's tokens issues no certificate")]
    X5cLeaf(#[source] step::KeyError),
}

/// A group's manifest as it was found.
type Found = Option<(Manifest, ETag)>;

/// A generation that is about to be written.
struct Next {
    manifest: Manifest,
    precondition: Precondition,
    /// The pool that nobody accepts any more once it is.
    ends: Option<PoolId>,
}

/// Gives every group a new pool under a new server key, and the issuer of access tokens a new key.
///
/// Where a group's manifest names another key than the current one, an earlier run ended before it came to that group.
/// Then this run finishes it, and makes no new key: a further key would end the one that this group's clients use.
///
/// The order is keys, pools, manifests, copies for v1 clients, npm packages; with each manifest the pool that it no longer
/// names is deleted. Copies and packages are made of what is committed, whether or not this run did it, so that a run that
/// ended before them is made up for. The old key becomes
/// `AWSPREVIOUS` and stays live, so clients with an old manifest go on. Of two runs side by side one gives way: the key is
/// written by compare-and-swap, each manifest by If-Match.
///
/// # Errors
/// The first step that failed.
pub async fn rotate<O, S, P, R, C>(
    config: &Config,
    order: Order,
    adapters: &Adapters<O, S, P, R, C>,
    random: &dyn Random,
) -> Result<Report, RotateError>
where
    O: ReadObject + ListObjects + WriteObject + DeleteObject,
    S: ReadSecret + AppendSecret,
    P: ReadParameter,
    R: PublishMaterial,
    C: Clock,
{
    // Where tokens are to end, nothing else is to keep them from it.
    let ended = if order.end_tokens { Some(rotate_token_key(config, order, adapters).await?) } else { None };
    // It waits for nothing of the rest, and the rest for nothing of it.
    let (x5c_leaf, x5c_leaf_failed) = rotate_x5c_leaf(config, order, adapters, random).await;
    let url = adapters.parameters.read(&config.url_parameter).await.map_err(step("read the broker's url"))?;
    // Listed, since reading what is not there looks like a lack of permission.
    let listed = adapters.objects.list(GROUPS_PREFIX).await.map_err(step("list the manifests"))?;
    let mut found = Vec::with_capacity(config.groups.len());
    for group in &config.groups {
        let key = Manifest::key(group);
        let exists = listed.iter().any(|object| object.key == key);
        found.push((group, if exists { Some(manifest(&adapters.objects, group).await?) } else { None }));
    }
    // The previous version first: a key that somebody else makes in between is then found as the current one, which the
    // groups lack, and is kept.
    let read = "read the server key";
    let previous = version(&adapters.secrets, &config.key_secret, Stage::Previous, read).await?;
    let current = version(&adapters.secrets, &config.key_secret, Stage::Current, read).await?;
    let current_key = current.as_ref().map(public_key).transpose()?;
    let now = adapters.clock.unix_seconds();
    let keeps_key = current.as_ref().zip(current_key).filter(|(version, key)| {
        let lags = |found: &Found| found.as_ref().is_some_and(|(manifest, _)| manifest.server_key != *key);
        let young = now.saturating_sub(version.created_at) < order.unless_younger_than_seconds;
        order.new_groups_only || young || found.iter().any(|(_, found)| lags(found))
    });
    let new_server_key = keeps_key.is_none();
    let server_key = match keeps_key {
        Some((_, key)) => {
            found.retain(|(_, found)| found.as_ref().is_none_or(|(manifest, _)| manifest.server_key != key));
            key
        }
        None => new_key(config, &adapters.secrets, [current.as_ref(), previous.as_ref()]).await?,
    };
    let TokenKey { kid: token_kid, is_new: new_token_key } = match ended {
        Some(key) => key,
        None => rotate_token_key(config, order, adapters).await?,
    };

    let mut next = Vec::with_capacity(found.len());
    for (group, found) in found {
        let pool = new_pool(&adapters.objects, group, random).await?;
        let (audience, url, server_key) = (config.audience.clone(), url.clone(), server_key.clone());
        next.push(match found {
            None => {
                let manifest = Manifest::first(group.clone(), audience, url, server_key, pool);
                Next { manifest, precondition: Precondition::Absent, ends: None }
            }
            Some((old, tag)) => {
                let manifest = old.next(audience, url, server_key, pool, now + config.accept_seconds.get());
                let ends = old.previous.map(|previous| previous.id).filter(|id| *id != old.pool.id);
                Next { manifest, precondition: Precondition::Unchanged(tag), ends }
            }
        });
    }
    let mut rotated = Vec::with_capacity(next.len());
    for Next { manifest, precondition, ends } in next {
        let key = Manifest::key(&manifest.group);
        let written = adapters.objects.write(&key, manifest.to_json(), "application/json", precondition).await;
        written.map_err(step("write a manifest"))?;
        let deleted = match ends {
            Some(id) => delete_pool(&adapters.objects, &manifest.group, id).await,
            None => None,
        };
        rotated.push(Rotated {
            group: manifest.group.to_string(),
            generation: manifest.generation,
            pool_id: manifest.pool.id.to_string(),
            deleted_pool_id: deleted.map(|id| id.to_string()),
        });
    }
    let v1_copies_failed = match &config.v1_group {
        Some(group) => copy_for_v1(&adapters.objects, group).await,
        None => None,
    };
    let published = match &config.npm {
        Some(npm) => publish(npm, &adapters.objects, &adapters.secrets, &adapters.registry).await,
        None => Vec::new(),
    };
    let kid = server_key.kid().to_string();
    Ok(Report {
        new_server_key,
        kid,
        new_token_key,
        token_kid,
        rotated,
        x5c_leaf,
        x5c_leaf_failed,
        v1_copies_failed,
        published,
    })
}

async fn manifest(objects: &impl ReadObject, group: &Group) -> Result<(Manifest, ETag), RotateError> {
    let read = async {
        let object = objects.read(&Manifest::key(group), None, Manifest::MAX_BYTES).await?.ok_or(Fault::Missing)?;
        let manifest = Manifest::from_json(object.bytes.expose()).filter(|manifest| manifest.group == *group);
        Ok((manifest.ok_or(Fault::Unusable("not this group's manifest"))?, object.etag))
    };
    read.await.map_err(step("read a manifest"))
}

/// The version of a secret that bears this label, where there is one.
pub(crate) async fn version(
    secrets: &impl ReadSecret,
    name: &str,
    stage: Stage,
    read: &'static str,
) -> Result<Option<SecretVersion>, RotateError> {
    match secrets.read(name, VersionSelector { id: None, stage: Some(stage.label()) }).await {
        Err(Fault::Missing) => Ok(None),
        version => version.map(Some).map_err(step(read)),
    }
}

fn public_key(version: &SecretVersion) -> Result<Jwk, RotateError> {
    let SecretValue::Text(pem) = &version.value else { return Err(RotateError::InvalidKey) };
    let key = ServerKey::from_pem(pem.expose()).map_err(|_| RotateError::InvalidKey)?;
    Ok(key.public().clone())
}

/// Makes a server key and stores it, unless somebody else stored one after the versions that were seen.
async fn new_key(
    config: &Config,
    secrets: &impl AppendSecret,
    seen: [Option<&SecretVersion>; 2],
) -> Result<Jwk, RotateError> {
    let pem = ServerKey::generate(config.key_size);
    let public = ServerKey::from_pem(pem.expose()).map_err(|_| RotateError::InvalidKey)?.public().clone();
    append(secrets, &config.key_secret, seen, &pem).await.map_err(step("store the server key"))?;
    Ok(public)
}

/// Stores a private key, unless somebody else stored one after the versions that were seen: current, previous.
pub(crate) async fn append(
    secrets: &impl AppendSecret,
    name: &str,
    seen: [Option<&SecretVersion>; 2],
    pem: &Secret<String>,
) -> Result<(), Fault> {
    // The previous version is part of the token, so that an operator can move the labels back and rotate again.
    let seen = seen.map(|version| version.map_or("none", |version| &version.version_id));
    let token = hex::encode(digest(&SHA256, format!("countersign/rotate {} {}", seen[0], seen[1]).as_bytes()));
    secrets.append(name, pem, &token).await
}

async fn new_pool(objects: &impl WriteObject, group: &Group, random: &dyn Random) -> Result<PoolEntry, RotateError> {
    let pool = Pool::generate(random);
    let entry = PoolEntry::of(group, &pool);
    objects
        .write(&entry.key, pool.expose().to_vec(), "text/plain", Precondition::Absent)
        .await
        .map_err(step("write a pool"))?;
    Ok(entry)
}

/// Deletes a pool that nobody accepts any more; `None` where it could not be.
async fn delete_pool(objects: &impl DeleteObject, group: &Group, id: PoolId) -> Option<PoolId> {
    let key = Manifest::pool_key(group, &id);
    let deleted = tokio::time::timeout(DELETE_PATIENCE, objects.delete(&key)).await;
    match deleted.unwrap_or_else(|_| Err(Fault::Unavailable("no answer in time".into()))) {
        Ok(()) => Some(id),
        Err(fault) => {
            // The generation is committed: to fail here would have the rotation tried again.
            tracing::warn!(error = ports::chain(&fault), %group, pool_id = %id, "an ended pool stays");
            None
        }
    }
}

pub(crate) fn step(step: &'static str) -> impl FnOnce(Fault) -> RotateError {
    move |source| {
        if matches!(source, Fault::Conflict) { RotateError::Interleaved } else { RotateError::Fault { step, source } }
    }
}
