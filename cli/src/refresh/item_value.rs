use std::sync::Arc;

use protocol::{Grant, Secret};
use serde_json::Value;

use crate::config::{Member, Source};

/// What an item is: what the broker gave, and the bytes of it that go to a variable, a file or standard input.
#[derive(Clone, Debug)]
pub struct ItemValue {
    grant: Arc<Grant>,
    bytes: Secret<Vec<u8>>,
}

/// Why what the broker gave is not the item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTheItem {
    /// It is something else.
    #[error("the broker gave something else")]
    AnotherGrant,
    /// A member of a secret is wanted, and the secret is no JSON object or array.
    #[error("the secret is not JSON, so it has no members")]
    NotJson,
    /// There is no such member, or it is null.
    #[error("the secret has no such member")]
    NoMember,
    /// By this machine's clock it has ended already.
    #[error("what the broker gave has ended already, by the clock of this machine")]
    Ended,
}

impl ItemValue {
    /// Takes the item out of what was given for its want.
    ///
    /// A member that is text is that text; any other is its JSON. A role's credentials are the JSON that AWS documents for
    /// `credential_process`. An access token is itself.
    ///
    /// # Errors
    /// [`NotTheItem`].
    pub fn new(source: &Source, grant: Arc<Grant>) -> Result<Self, NotTheItem> {
        let bytes = match (source, &*grant) {
            (Source::Secret { member: None, .. }, Grant::Secret(secret)) => Secret::new(secret.value.expose().to_vec()),
            (Source::Secret { member: Some(member), .. }, Grant::Secret(secret)) => {
                pick(secret.value.expose(), member)?
            }
            (Source::Role { .. }, Grant::Aws(credentials)) => crate::credential_process::document(credentials),
            (Source::AccessToken, Grant::AccessToken(token)) => {
                Secret::new(token.access_token.expose().as_bytes().to_vec())
            }
            _ => return Err(NotTheItem::AnotherGrant),
        };
        Ok(Self { grant, bytes })
    }

    /// Lends the bytes. Secret.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.bytes.expose()
    }

    /// What the broker gave.
    #[must_use]
    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    /// The version of a secret. Not secret.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        if let Grant::Secret(secret) = &*self.grant { Some(&secret.version_id) } else { None }
    }

    /// When it ends by itself, Unix time in seconds.
    #[must_use]
    pub fn expires_at(&self) -> Option<u64> {
        match &*self.grant {
            Grant::Secret(_) => None,
            Grant::Aws(credentials) => Some(credentials.expires_at),
            Grant::AccessToken(token) => Some(token.expires_at),
        }
    }

    /// Whether who has the other has this: the same version, or the same bytes.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let same_version = self.version().is_some() && self.version() == other.version();
        same_version || self.bytes.expose() == other.bytes.expose()
    }
}

fn pick(json: &[u8], member: &Member) -> Result<Secret<Vec<u8>>, NotTheItem> {
    let value: Value = serde_json::from_slice(json).map_err(|_| NotTheItem::NotJson)?;
    match member.find(&value) {
        None | Some(Value::Null) => Err(NotTheItem::NoMember),
        Some(Value::String(text)) => Ok(Secret::new(text.as_bytes().to_vec())),
        Some(other) => Ok(Secret::new(other.to_string().into_bytes())),
    }
}
