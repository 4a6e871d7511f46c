use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What an operator calls a network token: 1 to 64 of letters, digits and `._@-`. Its `sub` is `network:` and this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NetworkName(String);

/// A text that is no such name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a token's name: 1 to 64 of letters, digits and ._@-")]
pub struct InvalidNetworkName;

impl TryFrom<String> for NetworkName {
    type Error = InvalidNetworkName;

    fn try_from(text: String) -> Result<Self, InvalidNetworkName> {
        let valid = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._@-".contains(&byte));
        if valid && (1..=64).contains(&text.len()) { Ok(Self(text)) } else { Err(InvalidNetworkName) }
    }
}

impl FromStr for NetworkName {
    type Err = InvalidNetworkName;

    fn from_str(text: &str) -> Result<Self, InvalidNetworkName> {
        text.to_owned().try_into()
    }
}

impl From<NetworkName> for String {
    fn from(name: NetworkName) -> Self {
        name.0
    }
}
