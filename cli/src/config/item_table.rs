use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

use crate::config::{
    FileMode, FileOwner, FileSink, InvalidItem, Item, ItemName, Member, Source, VariableName, text::Text,
    time_span::TimeSpan,
};

/// How long a secret may be used after the broker last gave it.
pub(super) const DEFAULT_KEEP: Duration = Duration::from_secs(24 * 60 * 60);

/// One thing that is needed: exactly one of `secret`, `role` and `access_token`, and where it goes. It may go to several places, or
/// to none: then templates of other items and the endpoint alone have it.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Item", extend(
    "oneOf" = [{ "required": ["secret"] }, { "required": ["role"] }, { "required": ["access_token"] }],
    "dependentRequired" = {
        "member": ["secret"], "version_id": ["secret"], "version_stage": ["secret"], "keep": ["secret"], "seconds": ["role"],
    },
    "not" = { "required": ["version_id", "version_stage"] },
)))]
#[serde(deny_unknown_fields, expecting = "a table, as { secret = \"app/db\" }")]
pub(super) struct ItemTable {
    /// The name of a secret of AWS Secrets Manager. Not its ARN.
    #[cfg_attr(test, schemars(regex(pattern = "^(?!.*//)[A-Za-z0-9/_+=.@-]{1,512}$")))]
    secret: Option<String>,
    /// The alias of a role that the broker gives short-lived AWS credentials of.
    #[cfg_attr(test, schemars(regex(pattern = "^[A-Za-z0-9_+=,.@-]{1,64}$")))]
    role: Option<String>,
    /// An access token of the group.
    #[cfg_attr(test, schemars(extend("const" = true)))]
    access_token: Option<bool>,
    /// The member of the secret, a JSON object, that is wanted: its name, or a JSON Pointer (RFC 6901) where it begins with a slash.
    /// A member that is a text is that text, any other its JSON. Absent: the whole secret, byte for byte.
    #[cfg_attr(test, schemars(length(min = 1)))]
    member: Option<String>,
    /// The id of the version of the secret that is wanted for good. Not together with `version_stage`.
    #[cfg_attr(test, schemars(regex(pattern = "^[A-Za-z0-9-]{32,64}$")))]
    version_id: Option<String>,
    /// The staging label of the version of the secret. Absent: `AWSCURRENT`.
    #[cfg_attr(test, schemars(regex(pattern = "^[A-Za-z0-9/_+=.@:-]{1,256}$")))]
    version_stage: Option<String>,
    /// The wished lifetime of the role's credentials in seconds. The broker caps it.
    #[cfg_attr(test, schemars(range(min = 1)))]
    seconds: Option<u32>,
    /// The variable of the child's environment that holds it. Of a role, what the names of three begin with: `AWS` stands for
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`.
    env: Option<Text<VariableName>>,
    /// The file that holds it. Of a role: the JSON that AWS documents for `credential_process`, unless there is a template.
    file: Option<FileTable>,
    /// Whether the child reads it from its standard input. One item of all at most.
    #[serde(default)]
    stdin: bool,
    /// How long a secret may be used after the broker last gave it, where the broker cannot be asked. Credentials and tokens have an
    /// end of their own.
    #[cfg_attr(test, schemars(extend("default" = "24h")))]
    keep: Option<Text<TimeSpan>>,
    /// Whether `on_change` is done where it changed. `false`: its files are rewritten, and that is all; for what is renewed all the time
    /// and looked up by its reader, as a role's credentials.
    #[cfg_attr(test, schemars(extend("default" = true)))]
    on_change: Option<bool>,
}

/// A file that an item goes to. It is replaced at once, and deleted at the end.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "File"))]
#[serde(deny_unknown_fields, expecting = "a table, as { path = \"db\" }")]
pub(super) struct FileTable {
    /// Where it is. A relative path stands below the runtime folder, which is in memory.
    #[cfg_attr(test, schemars(length(min = 1)))]
    path: PathBuf,
    /// Its mode, in octal: no execution, and no writing by others.
    #[cfg_attr(test, schemars(extend("default" = "0400")))]
    mode: Option<Text<FileMode>>,
    /// Whom it belongs to: `USER`, `USER:GROUP` or `:GROUP`, each a name of /etc/passwd or /etc/group, or a number. Absent: who runs
    /// this.
    owner: Option<Text<FileOwner>>,
    /// A template (minijinja) that makes it: `value` is the item, `items.NAME` any item. A relative path stands beside this
    /// configuration. Absent: the item's bytes.
    #[cfg_attr(test, schemars(length(min = 1)))]
    template: Option<PathBuf>,
}

impl ItemTable {
    /// The item of this name. `folder` is what a relative path of a template stands below; without one there can be none. Whether names and paths are well-formed is
    /// for the rules to say.
    pub(super) fn into_item(self, name: ItemName, folder: Option<&Path>) -> Result<Item, InvalidItem> {
        let Self {
            secret,
            role,
            access_token,
            member,
            version_id,
            version_stage,
            seconds,
            env,
            file,
            stdin,
            keep,
            on_change,
        } = self;
        let of_secret = [
            ("member", member.is_some()),
            ("version_id", version_id.is_some()),
            ("version_stage", version_stage.is_some()),
            ("keep", keep.is_some()),
        ];
        let of_role = ("seconds", seconds.is_some());
        let (source, strange) = match (secret, role, access_token) {
            (Some(_), None, None) if version_id.is_some() && version_stage.is_some() => {
                return Err(InvalidItem::TwoVersions);
            }
            (Some(id), None, None) => {
                (Source::Secret { id, version_id, version_stage, member: member.map(Member::new) }, vec![of_role])
            }
            (None, Some(alias), None) => (Source::Role { alias, seconds }, of_secret.to_vec()),
            (None, None, Some(true)) => (Source::AccessToken, [&of_secret[..], &[of_role]].concat()),
            _ => return Err(InvalidItem::NotOneSource),
        };
        if let Some((member, _)) = strange.into_iter().find(|(_, is_there)| *is_there) {
            return Err(InvalidItem::Strange(member));
        }
        Ok(Item {
            name,
            source,
            variable: env.map(Text::into_inner),
            file: file.map(|file| file.into_sink(folder)).transpose()?,
            stdin,
            keep: keep.map_or(DEFAULT_KEEP, |span| span.into_inner().duration()),
            on_change: on_change.unwrap_or(true),
        })
    }
}

impl FileTable {
    fn into_sink(self, folder: Option<&Path>) -> Result<FileSink, InvalidItem> {
        let Self { path, mode, owner, template } = self;
        let template = match (template, folder) {
            (Some(template), Some(folder)) => Some(folder.join(template)),
            (Some(template), None) if template.is_relative() => return Err(InvalidItem::TemplatePath),
            (template, None) | (template @ None, Some(_)) => template,
        };
        Ok(FileSink {
            path,
            mode: mode.map_or(FileMode::OWNER_READS, Text::into_inner),
            owner: owner.map(Text::into_inner),
            template,
        })
    }
}

/// Whether a path can be a file's, by the text alone: it ends in a name, and no control character is in it.
pub(super) fn is_file_path(path: &Path) -> bool {
    let text = path.as_os_str().to_string_lossy();
    let ends_in_a_name = path.file_name().is_some() && !text.ends_with('/') && !text.ends_with("/.");
    ends_in_a_name && !text.contains(char::is_control)
}
