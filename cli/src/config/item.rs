use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use protocol::Want;

use crate::config::{FileMode, FileOwner, InvalidItem};

/// One thing that a container needs, and where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What logs, metrics and templates call it.
    pub name: ItemName,
    /// What it is.
    pub source: Source,
    /// The variable of the child's environment that holds it; of a role's credentials, what the three variables' names begin with.
    pub variable: Option<VariableName>,
    /// The file that holds it.
    pub file: Option<FileSink>,
    /// Whether the child reads it from standard input.
    pub stdin: bool,
    /// How long it may be used after the broker last gave it, where it has no end of its own.
    pub keep: Duration,
    /// Whether a child is told where it changed.
    pub on_change: bool,
}

/// A name of an item: 1 to 64 of lower-case letters, digits, `_` and `-`, the first one a letter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemName(String);

/// The name of a variable: letters, digits and `_`, the first one no digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VariableName(String);

/// A name that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidItemName {
    /// Not an item's.
    #[error("an item's name is 1 to 64 of lower-case letters, digits, _ and -, the first one a letter")]
    Item,
    /// Not a variable's.
    #[error("a variable's name is made of letters, digits and _, the first one no digit")]
    Variable,
}

/// What an item is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A secret of AWS Secrets Manager, or a member of one.
    Secret {
        /// Its name.
        id: String,
        /// A version's id; absent: by stage.
        version_id: Option<String>,
        /// A staging label; absent with no version id either: `AWSCURRENT`.
        version_stage: Option<String>,
        /// The member of its value, a JSON object, that is wanted; absent: all of it.
        member: Option<Member>,
    },
    /// Short-lived AWS credentials.
    Role {
        /// The role's alias.
        alias: String,
        /// Wished lifetime in seconds.
        seconds: Option<u32>,
    },
    /// An access token of the group.
    AccessToken,
}

/// A member of a JSON object: its name, or a JSON Pointer (RFC 6901) where it begins with a slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member(String);

/// A file that an item goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSink {
    /// Where it is; a relative path stands below the runtime folder, which is in memory.
    pub path: PathBuf,
    /// Its mode.
    pub mode: FileMode,
    /// Whom it belongs to, where not to the user who runs this.
    pub owner: Option<FileOwner>,
    /// The template (minijinja) that makes it, where it is not the item's bytes.
    pub template: Option<PathBuf>,
}

/// What an ARN begins with.
pub(super) const ARN: &str = "arn:";

impl Source {
    /// What is asked of the broker for it. Several items may have one want.
    #[must_use]
    pub fn want(&self) -> Want {
        match self {
            Self::Secret { id, version_id, version_stage, member: _ } => {
                Want::Secret { id: id.clone(), version_id: version_id.clone(), version_stage: version_stage.clone() }
            }
            Self::Role { alias, seconds } => Want::Aws { role: alias.clone(), seconds: *seconds },
            Self::AccessToken => Want::AccessToken {},
        }
    }

    /// Whether the broker can be asked for it, by its text alone.
    pub(super) fn check(&self) -> Result<(), InvalidItem> {
        let well_formed = self.want().is_well_formed();
        match self {
            Self::Secret { id, .. } if id.starts_with(ARN) => Err(InvalidItem::SecretArn),
            Self::Role { alias, .. } if alias.starts_with(ARN) => Err(InvalidItem::RoleArn),
            Self::Secret { .. } if !well_formed => Err(InvalidItem::Secret),
            Self::Secret { member: Some(member), .. } if !member.is_well_formed() => Err(InvalidItem::Member),
            Self::Role { seconds: Some(0), .. } => Err(InvalidItem::Seconds),
            Self::Role { .. } if !well_formed => Err(InvalidItem::Role),
            Self::Secret { .. } | Self::Role { .. } | Self::AccessToken => Ok(()),
        }
    }
}

impl Item {
    /// The names of the variables that hold it: one, or of a role three, in the order of access key id, secret access key and session
    /// token.
    #[must_use]
    pub fn variables(&self) -> Vec<String> {
        let Some(name) = &self.variable else { return Vec::new() };
        if let Source::Role { .. } = self.source { name.of_role().into() } else { vec![name.to_string()] }
    }

    /// Whether it goes somewhere where a child sees it.
    #[must_use]
    pub const fn reaches_a_child(&self) -> bool {
        self.variable.is_some() || self.file.is_some() || self.stdin
    }
}

impl Member {
    /// The member of this name, or at this pointer.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Finds it in a JSON value.
    #[must_use]
    pub fn find<'a>(&self, value: &'a serde_json::Value) -> Option<&'a serde_json::Value> {
        if self.0.starts_with('/') { value.pointer(&self.0) } else { value.get(&self.0) }
    }

    /// Whether there is something, and each tilde of a pointer stands for a tilde or a slash (`~0`, `~1`).
    fn is_well_formed(&self) -> bool {
        let escapes = self.0.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
        !self.0.is_empty() && (escapes || !self.0.starts_with('/'))
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl ItemName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ItemName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ItemName {
    type Err = InvalidItemName;

    fn from_str(text: &str) -> Result<Self, InvalidItemName> {
        let lower = |byte: u8| byte.is_ascii_lowercase();
        let valid = text.bytes().all(|byte| lower(byte) || byte.is_ascii_digit() || b"_-".contains(&byte));
        let begins = text.bytes().next().is_some_and(lower);
        if valid && begins && text.len() <= 64 { Ok(Self(text.to_owned())) } else { Err(InvalidItemName::Item) }
    }
}

impl VariableName {
    /// The variables that a role's credentials go to where this is their prefix: access key id, secret access key and session token.
    /// AWS's own follow the prefix `AWS`.
    #[must_use]
    pub fn of_role(&self) -> [String; 3] {
        ["ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN"].map(|behind| format!("{self}_{behind}"))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for VariableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for VariableName {
    type Err = InvalidItemName;

    fn from_str(text: &str) -> Result<Self, InvalidItemName> {
        let valid = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let begins = text.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
        if valid && begins { Ok(Self(text.to_owned())) } else { Err(InvalidItemName::Variable) }
    }
}
