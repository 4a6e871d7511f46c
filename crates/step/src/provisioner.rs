use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{InvalidText, ProvisionerKey};

/// The provisioner of a step-ca whose key signs the tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provisioner {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: ProvisionerKind,
    /// Its name.
    pub name: ProvisionerName,
    /// Which key it knows, by [`ProvisionerKey::known_as`]; absent: whichever is stored. Where it is here, no token has the name of
    /// one provisioner and the signature of another, while both are being replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
}

impl Provisioner {
    /// Whether this is its key, as far as it says.
    pub(crate) fn knows(&self, key: &ProvisionerKey) -> bool {
        self.kid.as_ref().is_none_or(|kid| *kid == key.known_as())
    }
}

/// The types of provisioner that take tokens of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProvisionerKind {
    /// It knows one public key.
    #[serde(rename = "JWK")]
    Jwk,
    /// It knows a root, and a token brings certificates.
    #[serde(rename = "X5C")]
    X5c,
}

impl ProvisionerKind {
    /// As step-ca's configuration writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Jwk => "JWK",
            Self::X5c => "X5C",
        }
    }
}

impl fmt::Display for ProvisionerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A provisioner's name: 1 to 64 of `A-Z`, `a-z`, `0-9`, `.`, `_`, `@`, `+` and `-`. Narrower than step-ca's: it is part of a URL, and
/// stands before a colon.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProvisionerName(String);

impl ProvisionerName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ProvisionerName {
    type Error = InvalidText;

    fn try_from(text: String) -> Result<Self, InvalidText> {
        let is_valid = matches!(text.len(), 1..=64)
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._@+-".contains(&byte));
        if is_valid { Ok(Self(text)) } else { Err(InvalidText("name of a provisioner")) }
    }
}

impl FromStr for ProvisionerName {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        Self::try_from(text.to_owned())
    }
}

impl From<ProvisionerName> for String {
    fn from(name: ProvisionerName) -> Self {
        name.0
    }
}

impl fmt::Display for ProvisionerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
