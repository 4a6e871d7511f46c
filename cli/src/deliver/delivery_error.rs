use std::{io, path::PathBuf};

use crate::{
    config::ItemName,
    deliver::template::{NotText, TemplateFault},
};

/// Why something that a container needs was not put where it goes.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// An item did not come, or is past its use-by.
    #[error("item {item} did not come yet, or is past its use-by")]
    Missing {
        /// Which.
        item: ItemName,
    },
    /// An item that goes to a variable cannot be one.
    #[error("item {item} cannot be a variable: {reason}")]
    NoVariable {
        /// Which.
        item: ItemName,
        /// Why not.
        reason: &'static str,
    },
    /// A file's path is not one that a file can be put at.
    #[error("{} is not a file's path", .path.display())]
    NoPath {
        /// The path.
        path: PathBuf,
    },
    /// A folder cannot be made or opened.
    #[error("cannot open the folder {}", .path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// Others can put theirs in the place of what is in a folder.
    #[error("the folder {} is another user's, or others can write it", .path.display())]
    OpenToOthers {
        /// Which.
        path: PathBuf,
    },
    /// The runtime folder that is used where none is configured cannot be trusted.
    #[error("the runtime folder {} is another user's, or others can write it", .path.display())]
    TakenRuntime {
        /// Which.
        path: PathBuf,
    },
    /// A link on the way to a folder was made by another user, who chooses where it leads.
    #[error("the link {} is another user's", .path.display())]
    ForeignLink {
        /// Which.
        path: PathBuf,
    },
    /// In the place of a file is something else.
    #[error("{} is there, and is not a file", .path.display())]
    NoFile {
        /// Where.
        path: PathBuf,
    },
    /// A file was not written.
    #[error("cannot write {}", .path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// A file was not deleted.
    #[error("cannot delete {}", .path.display())]
    Delete {
        /// Which.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// The list of users or groups cannot be read.
    #[error("cannot read {}", .path.display())]
    Accounts {
        /// Which.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// There is no such user.
    #[error("there is no user {name}")]
    UnknownUser {
        /// His name.
        name: String,
    },
    /// There is no such group.
    #[error("there is no group {name}")]
    UnknownGroup {
        /// Its name.
        name: String,
    },
    /// A template cannot be read.
    #[error("the template {} cannot be used", .path.display())]
    TemplateFile {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<crate::Error>,
    },
    /// A template is not text.
    #[error("the template {} is not UTF-8 text", .path.display())]
    TemplateNotText {
        /// Which.
        path: PathBuf,
    },
    /// A template does not parse.
    #[error("the template {} does not parse: {fault}", .path.display())]
    TemplateSyntax {
        /// Which.
        path: PathBuf,
        /// What is wrong with it, and where.
        fault: TemplateFault,
    },
    /// A template speaks of what there is not.
    #[error("the template {} speaks of {name}, which there is not", .path.display())]
    TemplateUnknown {
        /// Which.
        path: PathBuf,
        /// What it speaks of.
        name: String,
    },
    /// A template speaks of an item that is no text.
    #[error("the template {} speaks of an item that is not text: {source}", .path.display())]
    TemplateItem {
        /// Which.
        path: PathBuf,
        /// Which item.
        source: NotText,
    },
    /// A template made nothing of these values.
    #[error("the template {} failed: {fault}", .path.display())]
    TemplateFailed {
        /// Which.
        path: PathBuf,
        /// What is wrong with it, and where.
        fault: TemplateFault,
    },
    /// What a template makes is larger than a file of secrets may be.
    #[error("what the template {} makes is too large", .path.display())]
    TemplateTooLarge {
        /// Which.
        path: PathBuf,
    },
    /// Standard input was not made.
    #[error("cannot make the standard input of the command")]
    StandardInput(#[source] io::Error),
}

impl DeliveryError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Missing { .. } => "the log says why it did not come; countersign doctor checks the rest".into(),
            Self::NoVariable { .. } => "let it go to a file, or to standard input".into(),
            Self::NoPath { .. } => "a path ends in the file's name and does not go up by ..".into(),
            Self::Folder { .. } => "check the path and its mode, or give a path below the runtime folder".into(),
            Self::OpenToOthers { path } => {
                format!("chmod go-w {}, chown it, or give a path below the runtime folder", path.display())
            }
            Self::TakenRuntime { .. } => {
                "set runtime = \"/PATH\" in the configuration: a folder in memory that is this user's alone".into()
            }
            Self::ForeignLink { .. } => "give the path that it leads to, if that is meant".into(),
            Self::NoFile { .. } => "give another path, or delete what is there".into(),
            Self::Write { .. } | Self::Delete { .. } => {
                "check the folder and its space; who gives a file to another user must be root (CAP_CHOWN)".into()
            }
            Self::Accounts { .. } => "check its mode; owners can be numbers as well".into(),
            Self::UnknownUser { .. } | Self::UnknownGroup { .. } => {
                "/etc/passwd and /etc/group list them; a number always works".into()
            }
            Self::TemplateFile { .. } => {
                "a template is a file of at most 64 KiB, root's or this user's, that others cannot write".into()
            }
            Self::TemplateNotText { .. } | Self::TemplateSyntax { .. } => {
                "https://docs.rs/minijinja says how templates are written; macros, include and extends are not there"
                    .into()
            }
            Self::TemplateUnknown { .. } => {
                "a template speaks of value, its own item, and of items.NAME or items[\"NAME\"], the others".into()
            }
            Self::TemplateItem { .. } => "let the item go to a file of its own, without a template".into(),
            Self::TemplateFailed { .. } => "check that line of the template against the secret's members".into(),
            Self::TemplateTooLarge { .. } => "let it make less than 1 MiB".into(),
            Self::StandardInput(_) => "check the memory that this container may use".into(),
        }
    }

    /// The exit code of the command.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::NoPath { .. }
            | Self::UnknownUser { .. }
            | Self::UnknownGroup { .. }
            | Self::TemplateFile { .. }
            | Self::TemplateNotText { .. }
            | Self::TemplateSyntax { .. }
            | Self::TemplateUnknown { .. } => 2,
            Self::Missing { .. }
            | Self::NoVariable { .. }
            | Self::Folder { .. }
            | Self::OpenToOthers { .. }
            | Self::TakenRuntime { .. }
            | Self::ForeignLink { .. }
            | Self::NoFile { .. }
            | Self::Write { .. }
            | Self::Delete { .. }
            | Self::Accounts { .. }
            | Self::TemplateItem { .. }
            | Self::TemplateFailed { .. }
            | Self::TemplateTooLarge { .. }
            | Self::StandardInput(_) => 1,
        }
    }
}
