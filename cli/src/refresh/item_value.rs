use std::{
    io::{self, Write},
    sync::Arc,
};

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
            Grant::EnrollmentToken(token) => Some(token.expires_at),
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
    let value = Wiped(serde_json::from_slice(json).map_err(|_| NotTheItem::NotJson)?);
    match member.find(&value.0) {
        None | Some(Value::Null) => Err(NotTheItem::NoMember),
        Some(Value::String(text)) => Ok(Secret::new(text.as_bytes().to_vec())),
        Some(other) => Ok(json_of(other)),
    }
}

/// Its length is counted first: what grows leaves copies behind.
fn json_of(value: &Value) -> Secret<Vec<u8>> {
    let mut length = Length(0);
    let _ = serde_json::to_writer(&mut length, value);
    let mut json = InPlace(Secret::new(Vec::with_capacity(length.0)));
    let _ = serde_json::to_writer(&mut json, value);
    json.0
}

/// Keeps what is written, where there is room for it.
struct InPlace(Secret<Vec<u8>>);

impl Write for InPlace {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.append_within_capacity(bytes) { Ok(bytes.len()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Counts what is written.
struct Length(usize);

impl Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// JSON whose texts are wiped when it is dropped. Not wiped: numbers, names, and what the parser kept of texts with escapes.
struct Wiped(Value);

impl Drop for Wiped {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => drop(Secret::new(std::mem::take(text))),
        Value::Array(values) => values.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use protocol::{AwsCredentials, SecretGrant, SecretValue};

    use super::*;

    fn secret(version: &str, value: &str) -> Arc<Grant> {
        Arc::new(Grant::Secret(SecretGrant {
            id: "app/db".into(),
            version_id: version.into(),
            version_stages: Vec::new(),
            value: SecretValue::Text(Secret::new(value.into())),
        }))
    }

    fn source(member: Option<&str>) -> Source {
        let member = member.map(Member::new);
        Source::Secret { id: "app/db".into(), version_id: None, version_stage: None, member }
    }

    const JSON: &str =
        r#"{"text":"a\nb","number":5432,"flag":true,"none":null,"in":{"deep":["x",{"er":"y"}]},"/":"slash"}"#;

    #[test]
    fn a_member_is_text_or_its_json() {
        for (member, expected) in [
            ("text", Ok("a\nb")),
            ("number", Ok("5432")),
            ("flag", Ok("true")),
            ("in", Ok(r#"{"deep":["x",{"er":"y"}]}"#)),
            ("/in/deep/1/er", Ok("y")),
            ("/in/deep/0", Ok("x")),
            ("/~1", Ok("slash")),
            ("none", Err(NotTheItem::NoMember)),
            ("absent", Err(NotTheItem::NoMember)),
            ("/in/deep/7", Err(NotTheItem::NoMember)),
        ] {
            let made = ItemValue::new(&source(Some(member)), secret("1", JSON));
            let made = made.map(|value| String::from_utf8(value.expose().to_vec()).unwrap());
            assert_eq!(made, expected.map(str::to_owned), "{member}");
        }
        let whole = ItemValue::new(&source(None), secret("1", "no json")).unwrap();
        assert_eq!(whole.expose(), b"no json");
        let member = ItemValue::new(&source(Some("a")), secret("1", "no json"));
        assert_eq!(member.unwrap_err(), NotTheItem::NotJson);
    }

    #[test]
    fn what_was_not_asked_for_is_not_the_item() {
        let credentials = Arc::new(Grant::Aws(AwsCredentials {
            role: "nightly".into(),
            access_key_id: "AKIA".into(),
            secret_access_key: Secret::new("secret".into()),
            session_token: Secret::new("session".into()),
            expires_at: 7,
        }));
        assert_eq!(ItemValue::new(&source(None), credentials).unwrap_err(), NotTheItem::AnotherGrant);
        assert_eq!(ItemValue::new(&Source::AccessToken, secret("1", "a")).unwrap_err(), NotTheItem::AnotherGrant);
    }

    #[test]
    fn values_are_the_same_by_their_version_or_their_bytes() {
        let value = |version, value, member| ItemValue::new(&source(member), secret(version, value)).unwrap();
        assert!(value("1", "a", None).is_same(&value("1", "a", None)));
        assert!(value("1", "a", None).is_same(&value("2", "a", None)));
        assert!(!value("1", "a", None).is_same(&value("2", "b", None)));
        let (one, two) = (r#"{"a":"x","b":"y"}"#, r#"{"a":"x","b":"z"}"#);
        assert!(value("1", one, Some("a")).is_same(&value("2", two, Some("a"))));
        assert!(!value("1", one, Some("b")).is_same(&value("2", two, Some("b"))));
    }

    #[test]
    fn debug_tells_no_value() {
        let value = ItemValue::new(&source(Some("text")), secret("1", r#"{"text":"hunter2"}"#)).unwrap();
        assert!(!format!("{value:?}").contains("hunter2"));
    }

    #[test]
    fn the_json_of_a_member_is_written_where_it_stays() {
        let value: Value = serde_json::from_str(r#"{"a":[1e15,"\u0001é"],"b":{"c":null}}"#).unwrap();
        let mut json = json_of(&value);
        assert_eq!(json.expose(), value.to_string().as_bytes());
        let json = json.take();
        assert_eq!(json.capacity(), json.len());
    }

    #[test]
    fn what_was_parsed_is_wiped() {
        let mut value: Value = serde_json::from_str(JSON).unwrap();
        wipe(&mut value);
        assert!(!value.to_string().contains("slash") && !value.to_string().contains("a\nb"));
    }
}
