use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A text that is not of the form that the name's type demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {0}")]
pub struct InvalidName(pub(crate) &'static str);

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $noun:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, InvalidName> {
                let valid: fn(&[u8]) -> bool = $valid;
                if valid(text.as_bytes()) { Ok(Self(text)) } else { Err(InvalidName($noun)) }
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// The clients that share a pool: 1 to 32 of `a-z`, `0-9` and `-`, the first not a hyphen.
    ///
    /// It is part of object keys and of policy, so it can hold neither a slash nor a quote.
    Group, "group name", |text| matches!(text.len(), 1..=32)
        && text[0] != b'-'
        && text.iter().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
);

impl Group {
    /// Reads a list of groups separated by commas; `None` where it is empty, or a name is not valid or stands twice.
    #[must_use]
    pub fn parse_list(text: &str) -> Option<Vec<Self>> {
        let groups: Vec<Self> = text.split(',').map(|name| name.trim().parse().ok()).collect::<Option<_>>()?;
        let twice = (1..groups.len()).any(|index| groups[..index].contains(&groups[index]));
        (!twice).then_some(groups)
    }
}

name!(
    /// The first 32 lower-case hex digits of a pool's SHA-256.
    PoolId, "pool id", |text| text.len() == 32 && text.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
);

name!(
    /// A server key's RFC 7638 thumbprint: SHA-256 in base64url, 43 characters.
    KeyId, "key id", |text| text.len() == 43 && text.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_cannot_leave_its_folder() {
        for bad in ["", "-web", "Web", "web/../edge", "web.", "web\"", "a b", &"w".repeat(33)] {
            assert!(bad.parse::<Group>().is_err(), "{bad}");
        }
        for good in ["web", "0", "edge-eu-1", &"w".repeat(32)] {
            assert_eq!(good.parse::<Group>().unwrap().as_str(), good);
        }
    }

    #[test]
    fn a_list_names_each_group_once() {
        let names = |text| Some(Group::parse_list(text)?.iter().map(Group::to_string).collect::<Vec<_>>());
        assert_eq!(names("web, batch").unwrap(), ["web", "batch"]);
        for bad in ["", "web,", "web,../x", "web,batch,web"] {
            assert_eq!(names(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_pool_id_is_32_lower_case_hex_digits() {
        assert!("0123456789abcdef0123456789abcdef".parse::<PoolId>().is_ok());
        for bad in ["0123456789ABCDEF0123456789ABCDEF", "0123456789abcdef", "0123456789abcdef0123456789abcdeg"] {
            assert!(bad.parse::<PoolId>().is_err(), "{bad}");
        }
    }
}
