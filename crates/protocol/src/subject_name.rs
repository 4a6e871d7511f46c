use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::InvalidName;

/// The common name of a certificate of a step-ca: 1 to 64 of `A-Z`, `a-z`, `0-9`, `.`, `_`, `@`, `+` and `-`, of which the first
/// is a letter, a digit or `+`. There is one `@` at most, and nothing is empty before, between and after dots and `@`: a dot at the
/// end would be another name for policy, and the same one for many who read certificates.
///
/// It holds no colon, so that it never equals the `sub` of an access token, and neither a slash nor a quote. Names that differ in
/// the case of a letter are different ones.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(try_from = "String", into = "String")]
pub struct SubjectName(String);

impl SubjectName {
    /// The most characters: what X.520 lets a common name have (RFC 5280 appendix A.1).
    pub const MAX_LENGTH: usize = 64;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for SubjectName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        let begins = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+';
        let goes_on = |byte: u8| begins(byte) || matches!(byte, b'.' | b'_' | b'@' | b'-');
        let bytes = text.as_bytes();
        let is_valid = bytes.len() <= Self::MAX_LENGTH
            && bytes.first().is_some_and(|&byte| begins(byte))
            && bytes.iter().all(|&byte| goes_on(byte))
            && text.split(['.', '@']).all(|part| !part.is_empty())
            && text.matches('@').count() <= 1;
        if is_valid { Ok(Self(text)) } else { Err(InvalidName("subject name")) }
    }
}

impl FromStr for SubjectName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Self::try_from(text.to_owned())
    }
}

impl From<SubjectName> for String {
    fn from(name: SubjectName) -> Self {
        name.0
    }
}

impl AsRef<str> for SubjectName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SubjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_people_hosts_mailboxes_and_telephones_are_subjects() {
        for good in
            ["alice", "Alice", "web-1.example.com", "alice@example.com", "+391234567890", "10.0.0.1", &"a".repeat(64)]
        {
            let name: SubjectName = good.parse().unwrap();
            assert_eq!((name.as_str(), name.to_string()), (good, good.to_owned()));
            let json = serde_json::to_string(&name).unwrap();
            assert_eq!(json, format!("\"{good}\""));
            assert_eq!(serde_json::from_str::<SubjectName>(&json).unwrap(), name);
        }
    }

    #[test]
    fn what_another_syntax_gives_a_meaning_to_is_no_subject() {
        for bad in [
            "",
            "-alice",
            ".alice",
            "@alice",
            "_alice",
            "alice smith",
            "alice\n",
            "group:web",
            "SHA256:abc",
            "a/b",
            "a\"b",
            "a'b",
            "a\\b",
            "a*",
            "a#b",
            "bank.example.com.",
            "a..b",
            "a@b@c",
            "alice@",
            "alice@.example.com",
            "m\u{fc}ller",
            "\u{ff10}",
            &"a".repeat(65),
        ] {
            assert!(bad.parse::<SubjectName>().is_err(), "{bad}");
            assert!(serde_json::from_value::<SubjectName>(bad.into()).is_err(), "{bad}");
        }
        assert!(serde_json::from_str::<SubjectName>("391234567890").is_err());
    }
}
