//! What is made of a committed generation for clients that look elsewhere than under `groups/`.

use std::time::Duration;

use ports::{Fault, Precondition, PublishMaterial, ReadObject, ReadSecret, VersionSelector, WriteObject, chain};
use protocol::{Group, MAX_POOL_BYTES, Manifest, Pool, Secret, SecretValue};
use serde::Serialize;
use tokio::time::{Instant, timeout_at};

use crate::Npm;

/// Where v1 clients look for the pool, and for the server key.
const V1_POOL: &str = "info2048.bin";
const V1_PUBLIC_KEY: &str = "public.pem";

/// How long publishing may take, all packages together: the rotation's caller waits for it.
const PUBLISH_PATIENCE: Duration = Duration::from_secs(30);

/// A group's material in an npm registry, or why it is not there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Published {
    /// The group.
    pub group: String,
    /// The package.
    pub package: String,
    /// The version that holds the group's generation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Why there is none. The generation is committed all the same; `new_groups_only` publishes it again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// Copies a group's pool and server key to where v1 clients look for them; gives the reason where they could not be.
///
/// The two are written one after the other. Who reads in between has the old key or the old pool, which are accepted with
/// the new one.
pub(crate) async fn copy_for_v1(objects: &(impl ReadObject + WriteObject), group: &Group) -> Option<String> {
    let fault = copy(objects, group).await.err()?;
    tracing::error!(error = chain(&fault), %group, "not copied for v1 clients");
    Some(chain(&fault))
}

async fn copy(objects: &(impl ReadObject + WriteObject), group: &Group) -> Result<(), Fault> {
    let (manifest, mut pool) = material(objects, group).await?;
    let pem = manifest.server_key.to_pem().map_err(|_| Fault::Unusable("manifest without a server key"))?;
    objects.write(V1_POOL, pool.take(), "text/plain", Precondition::None).await?;
    objects.write(V1_PUBLIC_KEY, pem.into_bytes(), "application/x-pem-file", Precondition::None).await
}

/// Publishes the material of every group that has a package. What fails is reported, and ends nothing.
pub(crate) async fn publish(
    npm: &Npm,
    objects: &impl ReadObject,
    secrets: &impl ReadSecret,
    registry: &impl PublishMaterial,
) -> Vec<Published> {
    let deadline = Instant::now() + PUBLISH_PATIENCE;
    let mut published = Vec::with_capacity(npm.packages.len());
    for (group, package) in &npm.packages {
        let package = package.to_string();
        let version = async {
            let token = token(secrets, &npm.token_secret).await?;
            let (manifest, mut pool) = material(objects, group).await?;
            let pool = Pool::new(pool.take()).map_err(|_| Fault::Unusable("not a pool"))?;
            registry.publish(&package, token, &manifest, &pool).await
        };
        let version = timeout_at(deadline, version).await;
        let version = version.unwrap_or_else(|_| Err(Fault::Unavailable("no answer in time".into())));
        let (version, failed) = match version {
            Ok(version) => (Some(version), None),
            Err(fault) => {
                tracing::error!(error = chain(&fault), %group, package, "not published");
                (None, Some(chain(&fault)))
            }
        };
        published.push(Published { group: group.to_string(), package, version, failed });
    }
    published
}

async fn material(objects: &impl ReadObject, group: &Group) -> Result<(Manifest, Secret<Vec<u8>>), Fault> {
    let object = objects.read(&Manifest::key(group), None, Manifest::MAX_BYTES).await?.ok_or(Fault::Missing)?;
    let manifest = Manifest::from_json(object.bytes.expose()).ok_or(Fault::Unusable("not a manifest"))?;
    let pool = objects.read(&manifest.pool.key, None, MAX_POOL_BYTES).await?.ok_or(Fault::Missing)?;
    Ok((manifest, pool.bytes))
}

async fn token(secrets: &impl ReadSecret, name: &str) -> Result<Secret<String>, Fault> {
    let version = secrets.read(name, VersionSelector { id: None, stage: None }).await?;
    let SecretValue::Text(token) = version.value else { return Err(Fault::Unusable("token is not text")) };
    Ok(Secret::new(token.expose().trim().to_owned()))
}
