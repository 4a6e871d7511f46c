use protocol::{Grant, Secret};
use serde::Serialize;

use crate::{config::Source, credential_process::rfc3339, endpoint::refusal::Refusal, refresh::Holdings};

/// What SDKs read of a container's credentials. There is no `RoleArn`: the broker does not tell it, and no SDK needs it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document<'a> {
    access_key_id: &'a str,
    secret_access_key: &'a str,
    token: &'a str,
    expiration: String,
}

/// The credentials of the role of this alias; where several items are of it, those that end last.
pub(crate) fn credentials(holdings: &Holdings, alias: &str) -> Result<Secret<Vec<u8>>, Refusal> {
    let is_it = |source: &Source| matches!(source, Source::Role { alias: own, .. } if own == alias);
    let mut items = holdings.items().iter().filter(|item| is_it(&item.source)).peekable();
    items.peek().ok_or(Refusal::NoRole)?;
    let value = items.filter_map(|item| holdings.value(&item.name)).max_by_key(|value| value.expires_at());
    let value = value.ok_or(Refusal::NotUsable)?;
    let Grant::Aws(credentials) = value.grant() else { return Err(Refusal::NotUsable) };
    let document = Document {
        access_key_id: &credentials.access_key_id,
        secret_access_key: credentials.secret_access_key.expose(),
        token: credentials.session_token.expose(),
        expiration: rfc3339(credentials.expires_at),
    };
    Ok(Secret::new(serde_json::to_vec(&document).expect("credentials serialize")))
}
