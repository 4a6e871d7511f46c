use std::{fmt, str::FromStr};

use crate::config::{InvalidItem, Member, Source, item::ARN};

/// Not the text form of a source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReference {
    /// It is of no form.
    #[error("not secret:ID, secret:ID#MEMBER, role:ALIAS or access-token")]
    Form,
    /// It is what stands behind `secret:`, well-formed as it is.
    #[error("not secret:ID, secret:ID#MEMBER, role:ALIAS or access-token; a secret is secret:{0}")]
    Bare(String),
    /// It is of one, and what it names is not.
    #[error(transparent)]
    Item(#[from] InvalidItem),
}

const SECRET: &str = "secret:";
const ROLE: &str = "role:";
const ACCESS_TOKEN: &str = "access-token";

impl FromStr for Source {
    type Err = InvalidReference;

    /// Reads `secret:ID`, `secret:ID#MEMBER`, `role:ALIAS` or `access-token`.
    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        let source = if let Some(secret) = text.strip_prefix(SECRET) {
            // A secret's name has no number sign, a member's may.
            let (id, member) = secret.split_once('#').map_or((secret, None), |(id, member)| (id, Some(member)));
            let member = member.map(Member::new);
            Self::Secret { id: id.to_owned(), version_id: None, version_stage: None, member }
        } else if let Some(alias) = text.strip_prefix(ROLE) {
            Self::Role { alias: alias.to_owned(), seconds: None }
        } else if text == ACCESS_TOKEN {
            Self::AccessToken
        } else if text.starts_with(ARN) {
            return Err(InvalidItem::SecretArn.into());
        } else {
            let is_secret = !text.contains(char::is_control) && format!("{SECRET}{text}").parse::<Self>().is_ok();
            return Err(if is_secret { InvalidReference::Bare(text.to_owned()) } else { InvalidReference::Form });
        };
        source.check()?;
        Ok(source)
    }
}

impl fmt::Display for Source {
    /// The text form, with the version of a secret and the lifetime of a role behind it, which the text form has no place for.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret { id, version_id, version_stage, member } => {
                write!(f, "{SECRET}{id}")?;
                member.as_ref().map_or(Ok(()), |member| write!(f, "#{member}"))?;
                let version = version_id.as_ref().or(version_stage.as_ref());
                version.map_or(Ok(()), |version| write!(f, " at {version}"))
            }
            Self::Role { alias, seconds } => {
                write!(f, "{ROLE}{alias}")?;
                seconds.map_or(Ok(()), |seconds| write!(f, " for {seconds} s"))
            }
            Self::AccessToken => f.write_str(ACCESS_TOKEN),
        }
    }
}

/// Splits `PATH=REF` before the last reference, since a path may hold an equals sign.
pub(super) fn split_path(text: &str) -> Option<(&str, &str)> {
    let begins = |begin: &str| text.rfind(&format!("={begin}"));
    let at = [SECRET, ROLE, ACCESS_TOKEN].into_iter().filter_map(begins).max()?;
    Some((&text[..at], &text[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(id: &str, member: Option<&str>) -> Source {
        Source::Secret { id: id.into(), version_id: None, version_stage: None, member: member.map(Member::new) }
    }

    #[test]
    fn references_are_read_and_written_alike() {
        for (text, source) in [
            ("secret:app/db", secret("app/db", None)),
            ("secret:app/db#password", secret("app/db", Some("password"))),
            ("secret:app/db#/users/0/name", secret("app/db", Some("/users/0/name"))),
            ("secret:app/db#a#b", secret("app/db", Some("a#b"))),
            ("role:nightly", Source::Role { alias: "nightly".into(), seconds: None }),
            ("access-token", Source::AccessToken),
        ] {
            assert_eq!(text.parse(), Ok(source.clone()), "{text}");
            assert_eq!(source.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        for (bad, error) in [
            ("", InvalidReference::Form),
            ("app/db", InvalidReference::Bare("app/db".into())),
            ("app/db#password", InvalidReference::Bare("app/db#password".into())),
            ("app/db#\u{1b}", InvalidReference::Form),
            ("arn:aws:secretsmanager:eu-west-1:1:secret:x", InvalidItem::SecretArn.into()),
            ("role:arn:aws:iam::1:role/x", InvalidItem::RoleArn.into()),
            ("Secret:app/db", InvalidReference::Form),
            ("access-token:x", InvalidReference::Form),
            ("secret:", InvalidItem::Secret.into()),
            ("secret:arn:aws:secretsmanager:eu-west-1:1:secret:x", InvalidItem::SecretArn.into()),
            ("secret:a b", InvalidItem::Secret.into()),
            ("secret:app/db#", InvalidItem::Member.into()),
            ("secret:app/db#/a~2", InvalidItem::Member.into()),
            ("role:", InvalidItem::Role.into()),
            ("role:a/b", InvalidItem::Role.into()),
        ] {
            assert_eq!(bad.parse::<Source>(), Err(error), "{bad}");
        }
    }

    #[test]
    fn a_path_may_look_like_a_reference() {
        for (text, split) in [
            ("db=secret:app/db", Some(("db", "secret:app/db"))),
            ("/x=secret:y=role:z", Some(("/x=secret:y", "role:z"))),
            ("a=b=access-token", Some(("a=b", "access-token"))),
            ("=secret:x", Some(("", "secret:x"))),
            ("db", None),
            ("secret:app/db", None),
        ] {
            assert_eq!(split_path(text), split, "{text}");
        }
    }
}
