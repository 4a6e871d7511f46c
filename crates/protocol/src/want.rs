use serde::{Deserialize, Serialize};

use crate::{AltName, CsrDigest, MAX_ALT_NAMES, SubjectName};

/// The most slashes in a secret's name: each makes a path that policy can speak of.
const MAX_SLASHES: usize = 32;

/// One thing asked for in an exchange.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Want {
    /// A secret of AWS Secrets Manager, addressed as in its `GetSecretValue`.
    Secret {
        /// Name of the secret. Not an ARN: policy speaks of names.
        id: String,
        /// A version's id; absent: by stage.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version_id: Option<String>,
        /// A staging label; absent with no version id either: `AWSCURRENT`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version_stage: Option<String>,
    },
    /// Short-lived AWS credentials of a role, by AWS STS `AssumeRole`.
    Aws {
        /// The role's alias in the broker's configuration.
        role: String,
        /// Wished lifetime in seconds; the configuration caps it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seconds: Option<u32>,
    },
    /// An access token of the group, valid where the request comes from unless policy says otherwise.
    AccessToken {},
    /// A one-time token of a step-ca, for one certificate.
    EnrollmentToken {
        /// The certificate's common name.
        subject: SubjectName,
        /// Its other names, none twice, [`MAX_ALT_NAMES`] at most; none: the subject is its one name.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        sans: Vec<AltName>,
        /// The only request that the token is good for. A step-ca before 0.26 does not look at it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        csr_sha256: Option<CsrDigest>,
    },
}

impl Want {
    /// Whether every text is of the length and alphabet that AWS accepts for it.
    ///
    /// Secret names: AWS Secrets Manager `CreateSecret`, `Name`, without the ARN's colon. Version ids and stages:
    /// `GetSecretValue`. Role aliases follow the session name's alphabet of `AssumeRole`.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        match self {
            Self::Secret { id, version_id, version_stage } => {
                made_of(id, 1..=512, b"/_+=.@-")
                    && !id.contains("//")
                    && id.matches('/').count() <= MAX_SLASHES
                    && version_id.as_deref().is_none_or(|id| made_of(id, 32..=64, b"-"))
                    && version_stage.as_deref().is_none_or(|stage| made_of(stage, 1..=256, b"/_+=.@-:"))
            }
            Self::Aws { role, .. } => made_of(role, 1..=64, b"_+=,.@-"),
            Self::AccessToken {} => true,
            Self::EnrollmentToken { sans, .. } => {
                sans.len() <= MAX_ALT_NAMES && (1..sans.len()).all(|index| !sans[..index].contains(&sans[index]))
            }
        }
    }
}

fn made_of(text: &str, length: std::ops::RangeInclusive<usize>, also: &[u8]) -> bool {
    length.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || also.contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_members_and_types_are_refused() {
        for bad in [
            r#"{"type":"secret"}"#,
            r#"{"type":"secret","id":"a","role":"b"}"#,
            r#"{"type":"secret","id":"a","id":"b"}"#,
            r#"{"type":"root","id":"a"}"#,
            r#"{"type":"aws","role":"a","seconds":-1}"#,
            r#"{"id":"a"}"#,
            r#"{"type":"access_token","scope":"a"}"#,
            r#"{"type":"enrollment_token"}"#,
            r#"{"type":"enrollment_token","subject":"group:web"}"#,
            r#"{"type":"enrollment_token","subject":"a","subject":"b"}"#,
            r#"{"type":"enrollment_token","subject":"a","sans":"b"}"#,
            r#"{"type":"enrollment_token","subject":"a","sans":["b c"]}"#,
            r#"{"type":"enrollment_token","subject":"a","csr_sha256":"00"}"#,
            r#"{"type":"enrollment_token","subject":"a","serial":"1"}"#,
        ] {
            assert!(serde_json::from_str::<Want>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_want_of_a_token_says_nothing_more() {
        assert_eq!(serde_json::to_string(&Want::AccessToken {}).unwrap(), r#"{"type":"access_token"}"#);
        assert_eq!(serde_json::from_str::<Want>(r#"{"type":"access_token"}"#).unwrap(), Want::AccessToken {});
    }

    #[test]
    fn a_want_of_an_enrollment_token_leaves_out_what_it_does_not_say() {
        let least = Want::EnrollmentToken { subject: "alice".parse().unwrap(), sans: Vec::new(), csr_sha256: None };
        let json = r#"{"type":"enrollment_token","subject":"alice"}"#;
        assert_eq!(serde_json::to_string(&least).unwrap(), json);
        assert_eq!(serde_json::from_str::<Want>(json).unwrap(), least);
        let digest = CsrDigest::of(b"csr");
        let json = format!(
            r#"{{"type":"enrollment_token","subject":"alice","sans":["web.example.com","192.0.2.1"],"csr_sha256":"{digest}"}}"#
        );
        let sans = vec!["web.example.com".parse().unwrap(), "192.0.2.1".parse().unwrap()];
        let most = Want::EnrollmentToken { subject: "alice".parse().unwrap(), sans, csr_sha256: Some(digest) };
        assert_eq!(serde_json::to_string(&most).unwrap(), json);
        assert_eq!(serde_json::from_str::<Want>(&json).unwrap(), most);
    }

    #[test]
    fn a_certificate_has_a_name_once_and_not_too_many() {
        let want = |names: &[&str]| {
            let sans = names.iter().map(|name| name.parse().unwrap()).collect();
            Want::EnrollmentToken { subject: "alice".parse().unwrap(), sans, csr_sha256: None }
        };
        let many: Vec<String> = (0..=MAX_ALT_NAMES).map(|index| format!("host-{index}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(want(&many[1..]).is_well_formed());
        assert!(!want(&many).is_well_formed());
        assert!(!want(&["web", "edge", "WEB"]).is_well_formed());
    }

    #[test]
    fn names_outside_the_services_alphabets_are_not_well_formed() {
        let secret = |id: &str| Want::Secret { id: id.into(), version_id: None, version_stage: None };
        assert!(secret("prod/web/db_password+=.@-").is_well_formed());
        for bad in ["", "a b", "a\n", "arn:aws:secretsmanager:x", "a//b", &"a/".repeat(33), &"s".repeat(513)] {
            assert!(!secret(bad).is_well_formed(), "{bad}");
        }
        let version = |id: &str| Want::Secret { id: "a".into(), version_id: Some(id.into()), version_stage: None };
        assert!(version("0f5d3a3e-2f0b-4d5e-9a80-6a1b0e8f7c11").is_well_formed());
        assert!(!version("1").is_well_formed());
        assert!(!Want::Aws { role: "a/b".into(), seconds: None }.is_well_formed());
    }
}
