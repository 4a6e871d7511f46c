use ports::{AppendSecret, Clock, ReadSecret, SecretVersion, Stage, chain};
use protocol::{Random, SecretValue};
use serde::Serialize;
use step::{KeyError, ProvisionerKey, ProvisionerKind, X5cKey, x5c::Issuer};

use crate::{
    Adapters, Config, Order, RotateError,
    rotation::{append, step, version},
};

/// The certificate whose key signs one-time tokens of a step-ca.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct X5cLeaf {
    /// Whether it was made now. Otherwise the current one stays.
    pub is_new: bool,
    /// Its serial number, in hex: what the ledger has as `kid` of its tokens.
    pub serial: String,
    /// When it ends, Unix time in seconds.
    pub ends_at: u64,
}

/// Makes a new leaf below the intermediate, where there is one, or says why there is none.
///
/// It is good at once: the CA knows the root alone. The one before is good until it ends, and is used until each function has
/// the new one. What fails ends no rotation: a leaf lives three times as long as the usual time between two.
pub(crate) async fn rotate_x5c_leaf<O, S, P, R, C>(
    config: &Config,
    order: Order,
    adapters: &Adapters<O, S, P, R, C>,
    random: &dyn Random,
) -> (Option<X5cLeaf>, Option<String>)
where
    S: ReadSecret + AppendSecret,
    C: Clock,
{
    let Some(prefix) = &config.step_secrets else { return (None, None) };
    match rotate(prefix, order, &adapters.secrets, adapters.clock.unix_seconds(), random).await {
        Ok(leaf) => (leaf, None),
        Err(error) => {
            let reason = chain(&error);
            tracing::error!(error = reason, "no new certificate for one-time tokens");
            (None, Some(reason))
        }
    }
}

async fn rotate(
    prefix: &str,
    order: Order,
    secrets: &(impl ReadSecret + AppendSecret),
    now: u64,
    random: &dyn Random,
) -> Result<Option<X5cLeaf>, RotateError> {
    let name = format!("{prefix}/{}", Issuer::SECRET_NAME);
    let Some(issuer) = version(secrets, &name, Stage::Current, "read the intermediate of step-ca's tokens").await?
    else {
        return Ok(None);
    };
    let issuer = read(&issuer, Issuer::from_json)?;
    let name = format!("{prefix}/{}", ProvisionerKey::secret_name(ProvisionerKind::X5c));
    // In this order, as for the server key.
    let previous = version(secrets, &name, Stage::Previous, "read the key of step-ca's tokens").await?;
    let current = version(secrets, &name, Stage::Current, "read the key of step-ca's tokens").await?;
    let keeps = current.as_ref().filter(|version| {
        order.new_groups_only || now.saturating_sub(version.created_at) < order.unless_younger_than_seconds
    });
    // One of another intermediate was made before the operator replaced that one.
    let is_good = |key: &X5cKey| key.is_valid_at(now) && key.intermediate() == issuer.certificate();
    let kept = keeps.and_then(|version| read(version, X5cKey::from_json).ok()).filter(is_good);
    let is_new = kept.is_none();
    let key = match kept {
        Some(key) => key,
        None => {
            let key = issuer.new_leaf(now, random).map_err(RotateError::X5cLeaf)?;
            let seen = [current.as_ref(), previous.as_ref()];
            append(secrets, &name, seen, &key.to_json()).await.map_err(step("store the key of step-ca's tokens"))?;
            key
        }
    };
    Ok(Some(X5cLeaf { is_new, serial: key.leaf().serial(), ends_at: key.leaf().not_after() }))
}

fn read<K>(version: &SecretVersion, parse: impl FnOnce(&str) -> Result<K, KeyError>) -> Result<K, RotateError> {
    match &version.value {
        SecretValue::Text(json) => parse(json.expose()).map_err(RotateError::X5cLeaf),
        SecretValue::Binary(_) => Err(RotateError::X5cLeaf(KeyError::Malformed)),
    }
}
