use std::path::PathBuf;

use crate::{Error, config::ItemName};

/// Why a configuration is not one.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read, or others can write it.
    #[error("the configuration cannot be read")]
    Unreadable(#[source] Box<Error>),
    /// The file is not TOML, or says what it cannot say.
    #[error("{}{position}: {message}", .path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, column and key, as far as they are known.
        position: String,
        /// What is wrong there.
        message: String,
        /// Whether it is the mode of a file, which many write as a number.
        is_mode: bool,
    },
    /// The text of a variable is longer than a file may be.
    #[error("{} is longer than 64 KiB", crate::config::ConfigFile::VARIABLE)]
    TooLong,
    /// An item is not one.
    #[error("item {item}")]
    Item {
        /// Which.
        item: ItemName,
        /// What is wrong with it.
        #[source]
        problem: InvalidItem,
    },
    /// Nothing is needed.
    #[error("nothing is asked for")]
    NothingAsked,
    /// More distinct things than one exchange takes.
    #[error("more than {} different secrets, roles and tokens are asked for", protocol::MAX_WANTS)]
    TooMuchAsked,
    /// Two items go to standard input.
    #[error("items {one} and {other} both go to standard input")]
    StdinTwice {
        /// One.
        one: ItemName,
        /// The other.
        other: ItemName,
    },
    /// Two items go to one variable.
    #[error("items {one} and {other} both go to the variable {variable}")]
    VariableTwice {
        /// One.
        one: ItemName,
        /// The other.
        other: ItemName,
        /// The variable.
        variable: String,
    },
    /// Two files are one, or one is the folder of the other.
    #[error("the file of {one} is in the way of {other}")]
    FileTwice {
        /// One.
        one: String,
        /// The other.
        other: String,
    },
    /// A variable is set for the child's SDKs by the endpoint.
    #[error("item {item} goes to a variable that the endpoint sets: {variable}")]
    EndpointVariable {
        /// Which item.
        item: ItemName,
        /// Which variable.
        variable: String,
    },
    /// A time is zero that must not be.
    #[error("{0} is zero")]
    Zero(&'static str),
    /// Refreshing is forbidden more often than it is asked for.
    #[error("refresh.min_interval is longer than refresh.interval")]
    MinInterval,
    /// Not exactly one thing is done on a change.
    #[error("on_change takes exactly one of signal, restart = true and run")]
    OnChange,
    /// The command that is run on a change is none.
    #[error("on_change.run is no command")]
    NoCommand,
    /// A variable is inherited that has no name, or is this program's own.
    #[error("child.inherit names no variable, or one that begins with COUNTERSIGN_")]
    Inherit,
    /// The endpoint would be open to other machines.
    #[error("endpoint.listen is not an address of this machine alone")]
    Remote,
    /// A name that the endpoint may be asked by is none.
    #[error("endpoint.hosts takes names, as app or app:2773")]
    Host,
    /// The endpoint's token file has no name.
    #[error("endpoint.token_file is not the path of a file")]
    TokenFile,
    /// The runtime folder depends on where this is started.
    #[error("runtime is not an absolute path")]
    Runtime,
    /// The broker's url is none.
    #[error("url is not an http or https url")]
    Url,
}

/// What is wrong with an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidItem {
    /// It is nothing, or several things.
    #[error("exactly one of secret, role and access_token = true is needed")]
    NotOneSource,
    /// A member belongs to items of another kind.
    #[error("{0} does not belong to such an item")]
    Strange(&'static str),
    /// A version is told in two ways.
    #[error("version_id and version_stage exclude each other")]
    TwoVersions,
    /// The broker takes no such name or version of a secret.
    #[error("not a secret's name, or not its version")]
    Secret,
    /// A secret's ARN where its name belongs.
    #[error("take the secret's name, not the ARN")]
    SecretArn,
    /// A role's ARN where its alias belongs.
    #[error("take the role's alias, not the ARN")]
    RoleArn,
    /// The broker takes no such alias.
    #[error("not a role's alias")]
    Role,
    /// A lifetime of nothing.
    #[error("seconds is zero")]
    Seconds,
    /// A member without a name, or a pointer that is none.
    #[error("not a member's name or JSON Pointer")]
    Member,
    /// It may not be used at all.
    #[error("keep is shorter than a second")]
    Keep,
    /// The file's path is none.
    #[error("file.path is not the path of a file, or has a .. in it")]
    FilePath,
    /// The template's path is none, or stands beside a configuration that is no file.
    #[error("file.template is not the path of a file, or not absolute in COUNTERSIGN_TOML")]
    TemplatePath,
    /// A variable would be this program's own.
    #[error("variables that begin with COUNTERSIGN_ are not for the child")]
    OwnVariable,
}

impl ConfigError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Unreadable(error) => {
                if let Error::OpenToOthers { path, .. } = &**error {
                    format!("chmod go-w {}", path.display())
                } else if matches!(**error, Error::NotOwned { .. }) {
                    "it must belong to root or to the user that runs this".into()
                } else {
                    "--config or COUNTERSIGN_CONFIG names the file; it has 64 KiB at most".into()
                }
            }
            Self::Syntax { is_mode: true, .. } => "a mode is a text, in quotes: mode = \"0400\"".into(),
            Self::Syntax { .. } => {
                "docs/configuration.md tells what it may say; countersign config schema prints the same for editors"
                    .into()
            }
            Self::TooLong => "mount a file, and name it by COUNTERSIGN_CONFIG".into(),
            Self::Item { problem, .. } => problem.hint().into(),
            Self::NothingAsked => "[items.NAME] of the configuration, or --env NAME=secret:ID".into(),
            Self::TooMuchAsked => "one exchange takes no more: members of one secret count once".into(),
            Self::StdinTwice { .. } => "give one of them a file or a variable; a template joins several items".into(),
            Self::VariableTwice { .. } => {
                "give one of them another variable; env of a role is the prefix of three".into()
            }
            Self::FileTwice { .. } => "give one of them another path; a template joins several items".into(),
            Self::EndpointVariable { .. } => "give it another variable, or leave the endpoint out".into(),
            Self::Zero(_) | Self::MinInterval => "times are written as 30s, 5m or 24h".into(),
            Self::OnChange => "for several steps, run a command".into(),
            Self::NoCommand => {
                "run is a list: the command and its arguments, as [\"nginx\", \"-s\", \"reload\"]".into()
            }
            Self::Inherit => "it is a list of names, as [\"PATH\", \"HOME\"]; items are there anyway".into(),
            Self::Remote => "listen on 127.0.0.1 or [::1]; allow_remote = true where other machines are meant".into(),
            Self::Host => "a name with or without a port, as a client writes it in its url".into(),
            Self::TokenFile => "a name below the runtime folder, or an absolute path".into(),
            Self::Runtime => "it begins with a slash, and is best on a tmpfs".into(),
            Self::Url => Error::Url.hint(),
        }
    }

    /// The exit code of the command.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        2
    }
}

impl InvalidItem {
    const fn hint(self) -> &'static str {
        match self {
            Self::NotOneSource => "secret = \"NAME\", role = \"ALIAS\" or access_token = true",
            Self::Strange(_) => "member, version_id, version_stage and keep are of secrets, seconds is of roles",
            Self::TwoVersions => "version_id names one version for good, version_stage the one that has the label",
            Self::Secret => "letters, digits and /_+=.@- make a name; a version's id has 32 to 64 characters",
            Self::SecretArn => "of arn:aws:secretsmanager:REGION:ACCOUNT:secret:app/db-a1b2c3 it is app/db",
            Self::Role | Self::RoleArn => "the broker's configuration has the aliases (ROLE_ALIASES)",
            Self::Seconds => "leave it out for the broker's default",
            Self::Member => "a name, or a pointer as /users/0/name, in which ~0 is a tilde and ~1 a slash",
            Self::Keep => "times are written as 30s, 5m or 24h",
            Self::FilePath => "a name below the runtime folder, or an absolute path",
            Self::TemplatePath => "a name beside the configuration, or an absolute path",
            Self::OwnVariable => "give it another name",
        }
    }
}
