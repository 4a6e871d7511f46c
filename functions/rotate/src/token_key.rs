use access_token::{PublicKey, SigningKey};
use issuer::PublishedKeys;
use ports::{
    AppendSecret, Clock, ETag, Fault, ListObjects, Precondition, ReadObject, ReadSecret, SecretVersion, Stage,
    WriteObject,
};
use protocol::SecretValue;

use crate::{
    Adapters, Config, Order, RotateError,
    rotation::{append, step, version},
};

/// What a rotation did to the key that signs access tokens.
pub(crate) struct TokenKey {
    pub(crate) kid: String,
    pub(crate) is_new: bool,
}

/// Makes a new token key and publishes it; it signs once every verifier has it, and the one before verifies until its last token
/// has ended.
///
/// No new key is made while tokens of a replaced one may be valid: their key would be lost, since Secrets Manager keeps two.
/// Where the current key is not published, an earlier run was cut short, and this one finishes it.
pub(crate) async fn rotate_token_key<O, S, P, R, C>(
    config: &Config,
    order: Order,
    adapters: &Adapters<O, S, P, R, C>,
) -> Result<TokenKey, RotateError>
where
    O: ReadObject + ListObjects + WriteObject,
    S: ReadSecret + AppendSecret,
    C: Clock,
{
    let Adapters { objects, secrets, clock, .. } = adapters;
    let published = published(objects).await.map_err(step("read the published token keys"))?;
    // In this order, as for the server key.
    let previous = version(secrets, &config.token_key_secret, Stage::Previous, "read the token key").await?;
    let current = version(secrets, &config.token_key_secret, Stage::Current, "read the token key").await?;
    let now = clock.unix_seconds();
    let keeps = current.as_ref().filter(|version| {
        let young = now.saturating_sub(version.created_at) < order.unless_younger_than_seconds;
        let ending = published.as_ref().is_some_and(|(keys, _)| keys.has_ending_tokens(now));
        order.new_groups_only || young || ending
    });
    let current_key = current.as_ref().map(public_key).transpose()?;
    let is_published = |key: &PublicKey| published.as_ref().is_some_and(|(keys, _)| keys.begins_with(key));
    let (key, is_new) = match current_key {
        // As good as new, but not where somebody may have got hold of it.
        Some(key) if !is_published(&key) && !order.end_tokens => (key, false),
        Some(key) if keeps.is_some() && !order.end_tokens => {
            return Ok(TokenKey { kid: key.kid().to_string(), is_new: false });
        }
        _ => {
            let pem = SigningKey::generate();
            let key = SigningKey::from_pem(pem.expose()).map_err(|_| RotateError::InvalidTokenKey)?.public().clone();
            let seen = [current.as_ref(), previous.as_ref()];
            append(secrets, &config.token_key_secret, seen, &pem).await.map_err(step("store the token key"))?;
            (key, true)
        }
    };
    let kid = key.kid().to_string();
    let (next, precondition) = match published {
        None => (PublishedKeys::first(key), Precondition::Absent),
        Some((_, tag)) if order.end_tokens => (PublishedKeys::first(key), Precondition::Unchanged(tag)),
        Some((keys, tag)) => (keys.next(key, now, config.max_token_seconds), Precondition::Unchanged(tag)),
    };
    let written = objects.write(PublishedKeys::OBJECT, next.to_json(), "application/json", precondition).await;
    written.map_err(step("publish the token key"))?;
    Ok(TokenKey { kid, is_new })
}

/// What is published, where anything is. Listed first, since reading what is not there looks like a lack of permission.
async fn published(objects: &(impl ReadObject + ListObjects)) -> Result<Option<(PublishedKeys, ETag)>, Fault> {
    let listed = objects.list("token/").await?;
    if !listed.iter().any(|object| object.key == PublishedKeys::OBJECT) {
        return Ok(None);
    }
    let object = objects.read(PublishedKeys::OBJECT, None, PublishedKeys::MAX_BYTES).await?.ok_or(Fault::Missing)?;
    let keys = PublishedKeys::from_json(object.bytes.expose()).ok_or(Fault::Unusable("not the issuer's keys"))?;
    Ok(Some((keys, object.etag)))
}

fn public_key(version: &SecretVersion) -> Result<PublicKey, RotateError> {
    let SecretValue::Text(pem) = &version.value else { return Err(RotateError::InvalidTokenKey) };
    let key = SigningKey::from_pem(pem.expose()).map_err(|_| RotateError::InvalidTokenKey)?;
    Ok(key.public().clone())
}
