use base64::{Engine as _, prelude::BASE64_STANDARD};
use protocol::{Grant, Secret, SecretGrant, SecretValue};
use serde::Serialize;
use url::form_urlencoded;

use crate::{
    config::{Item, ItemName, Source},
    endpoint::refusal::Refusal,
    refresh::{Holdings, ItemValue},
};

const CURRENT: &str = "AWSCURRENT";

/// What a client of the AWS Secrets Manager Agent asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SecretQuery {
    id: String,
    version_id: Option<String>,
    version_stage: Option<String>,
    /// Whether it wants the broker asked first.
    pub(crate) refresh_now: bool,
}

/// What `GetSecretValue` answers, without the ARN and the date, which the broker does not tell.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document<'a> {
    name: &'a str,
    version_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_string: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_binary: Option<&'a str>,
    version_stages: &'a [String],
}

impl SecretQuery {
    /// Reads a query in which the secret's name stands, too, unless the path says it.
    pub(crate) fn parse(query: &str, in_path: Option<String>) -> Result<Self, Refusal> {
        let is_in_path = in_path.is_some();
        let (mut id, mut version_id, mut version_stage, mut refresh_now) = (in_path, None, None, None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let place = match &*name {
                "secretId" if !is_in_path => &mut id,
                "versionId" => &mut version_id,
                "versionStage" => &mut version_stage,
                "refreshNow" => &mut refresh_now,
                _ => return Err(Refusal::Query("the query has an unknown parameter")),
            };
            if place.replace(value.into_owned()).is_some() {
                return Err(Refusal::Query("the query has a parameter twice"));
            }
        }
        let id = id.filter(|id| !id.is_empty()).ok_or(Refusal::Query("the parameter secretId is missing"))?;
        let refresh_now = match refresh_now.map(|word| word.to_ascii_lowercase()).as_deref() {
            None | Some("false" | "0") => false,
            Some("true" | "1") => true,
            Some(_) => return Err(Refusal::Query("refreshNow is true or false")),
        };
        Ok(Self { id, version_id, version_stage, refresh_now })
    }

    /// Whether this item may be an answer: it is the secret, whole, and of the stage that is asked for.
    fn may_be(&self, item: &Item) -> bool {
        let Source::Secret { id, version_id, version_stage, member: None } = &item.source else { return false };
        let by_stage = version_id.is_none().then_some(CURRENT);
        let stage = version_stage.as_deref().or(by_stage);
        // A version is right by its id, whatever the item is asked for by.
        let asked = self.version_stage.as_deref().or(self.version_id.is_none().then_some(CURRENT));
        *id == self.id && asked.is_none_or(|asked| stage == Some(asked))
    }

    /// Whether what is held of such an item is the version that is asked for.
    fn is_of(&self, value: &ItemValue) -> bool {
        self.version_id.is_none() || value.version() == self.version_id.as_deref()
    }

    /// The item that is asked for.
    pub(crate) fn item<'a>(&self, holdings: &'a Holdings) -> Result<&'a ItemName, Refusal> {
        let configured = |item: &&Item| {
            let Source::Secret { version_id, .. } = &item.source else { return false };
            self.version_id.is_none() || *version_id == self.version_id
        };
        let held = |item: &&Item| holdings.value(&item.name).is_some_and(|value| self.is_of(&value));
        let mut items = holdings.items().iter().filter(|item| self.may_be(item));
        items.find(|item| configured(item) || held(item)).map(|item| &item.name).ok_or(Refusal::NoSecret)
    }

    /// The answer, of what is held now.
    pub(crate) fn answer(&self, holdings: &Holdings) -> Result<Secret<Vec<u8>>, Refusal> {
        self.item(holdings)?;
        let items = holdings.items().iter().filter(|item| self.may_be(item));
        let value = items.filter_map(|item| holdings.value(&item.name)).find(|value| self.is_of(value));
        let value = value.ok_or(Refusal::NotUsable)?;
        let Grant::Secret(secret) = value.grant() else { return Err(Refusal::NotUsable) };
        Ok(document(secret))
    }
}

fn document(secret: &SecretGrant) -> Secret<Vec<u8>> {
    let in_base64 = match &secret.value {
        SecretValue::Text(_) => None,
        SecretValue::Binary(bytes) => Some(Secret::new(BASE64_STANDARD.encode(bytes.expose()))),
    };
    let document = Document {
        name: &secret.id,
        version_id: &secret.version_id,
        secret_string: if let SecretValue::Text(text) = &secret.value { Some(text.expose()) } else { None },
        secret_binary: in_base64.as_ref().map(|text| text.expose().as_str()),
        version_stages: &secret.version_stages,
    };
    Secret::new(serde_json::to_vec(&document).expect("a secret serializes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_that_of_the_secrets_manager_agent() {
        let query = |refresh_now| SecretQuery {
            id: "app/db+1".into(),
            version_id: None,
            version_stage: Some("AWSPREVIOUS".into()),
            refresh_now,
        };
        let text = "secretId=app%2Fdb%2B1&versionStage=AWSPREVIOUS";
        assert_eq!(SecretQuery::parse(text, None), Ok(query(false)));
        for (word, expected) in [("true", true), ("TRUE", true), ("1", true), ("false", false), ("0", false)] {
            let parsed = SecretQuery::parse(&format!("{text}&refreshNow={word}"), None);
            assert_eq!(parsed, Ok(query(expected)), "{word}");
        }
        let in_path = SecretQuery::parse("versionStage=AWSPREVIOUS", Some("app/db+1".into()));
        assert_eq!(in_path, Ok(query(false)));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (text, in_path) in [
            ("", None),
            ("secretId=", None),
            ("versionId=a", None),
            ("secretId=a&secretId=b", None),
            ("secretId=a&versionid=b", None),
            ("secretId=a&refreshNow=yes", None),
            ("secretId=a&refreshNow=", None),
            ("secretId=a&x", None),
            ("secretId=b", Some("a")),
        ] {
            let parsed = SecretQuery::parse(text, in_path.map(str::to_owned));
            assert!(matches!(parsed, Err(Refusal::Query(_))), "{text}");
        }
    }
}
