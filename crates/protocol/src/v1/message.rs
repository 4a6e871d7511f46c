use serde::Deserialize;

use super::intervals::Claimed;
use crate::{
    random::{SystemRandom, array},
    want::Want,
};

/// Where secrets come from, the only store that there is.
const STORE: &str = "secretsmanager";

/// What a v1 client encrypts, well formed.
pub(super) struct Message {
    /// The SHA-256 that the client found over its intervals.
    pub(super) hash: [u8; 32],
    pub(super) intervals: Claimed,
    /// The secret that it asks for; a stand-in asks for nothing.
    pub(super) want: Option<Want>,
}

/// The message as it stands on the wire.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    hashval: String,
    intervals: String,
    credential_source: String,
}

impl Message {
    /// Parses a message; `None` where a member is unknown, missing or malformed.
    ///
    /// `arns` is what the ARNs of this deployment's secrets begin with.
    pub(super) fn parse(json: &[u8], arns: &str) -> Option<Self> {
        // serde takes a list for a structure as well.
        if !json.trim_ascii_start().starts_with(b"{") {
            return None;
        }
        let Wire { hashval, intervals, credential_source } = serde_json::from_slice(json).ok()?;
        let lower = !hashval.bytes().any(|byte| byte.is_ascii_uppercase());
        Some(Self {
            hash: hex::decode(hashval).ok().filter(|_| lower)?.try_into().ok()?,
            intervals: Claimed::parse(&intervals)?,
            want: Some(want(&credential_source, arns)?),
        })
    }

    /// In the place of a message that cannot be read: it asks for nothing and proves nothing.
    pub(super) fn stand_in() -> Self {
        Self { hash: array(&SystemRandom), intervals: Claimed::none(), want: None }
    }
}

/// `secretsmanager,<id>[,<version id>[,<stage>]]`; an empty field is an absent one. The id is a secret's name, or the whole
/// ARN of one of this account and region, which is taken for the name in it: policy speaks of names.
fn want(source: &str, arns: &str) -> Option<Want> {
    let mut fields = source.split(',');
    if fields.next()? != STORE {
        return None;
    }
    let id = fields.next()?;
    let id = if arns.is_empty() { None } else { id.strip_prefix(arns).and_then(name) }.unwrap_or(id).to_owned();
    let mut field = || fields.next().filter(|field| !field.is_empty()).map(str::to_owned);
    let want = Want::Secret { id, version_id: field(), version_stage: field() };
    (fields.next().is_none() && want.is_well_formed()).then_some(want)
}

/// The name before the hyphen and six characters with which AWS Secrets Manager ends an ARN.
fn name(end_of_arn: &str) -> Option<&str> {
    let (name, suffix) = end_of_arn.rsplit_once('-')?;
    (suffix.len() == 6 && suffix.bytes().all(|byte| byte.is_ascii_alphanumeric())).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARNS: &str = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:";

    #[test]
    fn a_source_names_a_secret_of_secrets_manager() {
        let id = "0f5d3a3e-2f0b-4d5e-9a80-6a1b0e8f7c11";
        for (source, version_id, version_stage) in [
            ("secretsmanager,app/db".to_owned(), None, None),
            ("secretsmanager,app/db,".to_owned(), None, None),
            ("secretsmanager,app/db,,".to_owned(), None, None),
            (format!("secretsmanager,app/db,{id}"), Some(id), None),
            ("secretsmanager,app/db,,AWSPREVIOUS".to_owned(), None, Some("AWSPREVIOUS")),
            (format!("secretsmanager,app/db,{id},AWSCURRENT"), Some(id), Some("AWSCURRENT")),
            (format!("secretsmanager,{ARNS}app/db-AbCd12,,AWSPREVIOUS"), None, Some("AWSPREVIOUS")),
        ] {
            let expected = Want::Secret {
                id: "app/db".into(),
                version_id: version_id.map(str::to_owned),
                version_stage: version_stage.map(str::to_owned),
            };
            assert_eq!(want(&source, ARNS), Some(expected), "{source}");
        }
        for bad in [
            "",
            "secretsmanager",
            "secretsmanager,",
            "vault,app/db",
            "SecretsManager,app/db",
            "secretsmanager, app/db",
            "secretsmanager,arn:aws:secretsmanager:eu-west-1:210987654321:secret:app/db-AbCdEf",
            "secretsmanager,arn:aws:secretsmanager:eu-west-1:123456789012:secret:app/db",
            "secretsmanager,arn:aws:secretsmanager:eu-west-1:123456789012:secret:-AbCdEf",
            "secretsmanager,app/db,1",
            "secretsmanager,app/db,,AWSCURRENT,more",
        ] {
            assert_eq!(want(bad, ARNS), None, "{bad}");
        }
    }

    #[test]
    fn a_message_has_its_three_members_and_no_other() {
        let hash = "ab".repeat(32);
        let message = |hash: &str, more: &str| {
            format!(r#"{{"hashval":"{hash}","intervals":"0,64,0","credential_source":"secretsmanager,a"{more}}}"#)
        };
        assert!(Message::parse(message(&hash, "").as_bytes(), "").is_some());
        for bad in [
            message(&hash, r#","more":1"#),
            message(&hash, r#","hashval":"""#),
            message(&hash.to_uppercase(), ""),
            message(&hash[1..], ""),
            message(&hash[2..], ""),
            message("", ""),
            format!(r#"["{hash}","0,64,0","secretsmanager,a"]"#),
            message(&hash, "").replace("0,64,0", "0,64"),
            message(&hash, "").replace("secretsmanager", "vault"),
            message(&hash, "").replace(r#""intervals""#, r#""interval""#),
            message(&hash, "") + "\u{1}",
            "{}".to_owned(),
            String::new(),
        ] {
            assert!(Message::parse(bad.as_bytes(), "").is_none(), "{bad}");
        }
    }
}
