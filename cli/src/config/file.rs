use std::{
    collections::BTreeMap,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use protocol::Group;
use serde::Deserialize;

use crate::{
    Error, Origin,
    config::{
        AtUseBy, ConfigError, Item, ItemName, ListenAddress, OnChange, Signal, item_table::ItemTable, text::Text,
        time_span::TimeSpan,
    },
    material::{Closed, read},
};

/// The largest file that is read.
const MAX_BYTES: usize = 64 * 1024;

/// A configuration as a file says it, `countersign.toml`.
#[derive(Debug, Default)]
pub struct ConfigFile {
    pub(super) tables: Tables,
    /// What relative paths of templates stand below, where there is such a folder.
    folder: Option<PathBuf>,
}

/// What a container needs, for `countersign exec` and `countersign agent`. Flags go before variables, variables before this file.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(title = "countersign.toml"))]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Tables {
    /// The group that this machine belongs to. Absent: that of the only material.
    pub(super) group: Option<Text<Group>>,
    /// Where material is pulled from: `s3://BUCKET[/PREFIX]`, `npm:@SCOPE/NAME[@VERSION]`, an https url, or a folder. With it, missing
    /// and outdated material is pulled by itself.
    pub(super) from: Option<Text<Origin>>,
    /// The folder of the material. Absent: `$XDG_STATE_HOME/countersign` or `~/.local/state/countersign`.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub(super) material: Option<PathBuf>,
    /// The url of the broker, in place of the manifest's.
    #[cfg_attr(test, schemars(regex(pattern = "^https?://[^?#]+$")))]
    pub(super) url: Option<String>,
    /// How long the start may take. A broker that throttles is asked again until then.
    #[cfg_attr(test, schemars(extend("default" = "2m")))]
    pub(super) timeout: Option<Text<TimeSpan>>,
    /// The folder that relative paths of files stand below, an absolute path. Absent: `$XDG_RUNTIME_DIR/countersign`, else
    /// `/run/countersign` for root, else `/dev/shm/countersign-UID`.
    #[cfg_attr(test, schemars(regex(pattern = "^/")))]
    pub(super) runtime: Option<PathBuf>,
    /// What is needed, by name. Logs, metrics and templates call it by this name.
    #[serde(default)]
    pub(super) items: BTreeMap<Text<ItemName>, ItemTable>,
    /// When it is asked for again.
    #[serde(default)]
    pub(super) refresh: RefreshTable,
    /// What is done where something changed that the child sees. Absent: files are rewritten, and that is all.
    pub(super) on_change: Option<OnChangeTable>,
    /// How the child of `countersign exec` is run.
    #[serde(default)]
    pub(super) child: ChildTable,
    /// Where other processes of this machine ask: SDKs for credentials, and clients of the AWS Secrets Manager Agent for secrets.
    pub(super) endpoint: Option<EndpointTable>,
}

/// When what is there is asked for again.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Refresh"))]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct RefreshTable {
    /// How long after it came a secret is asked for again. Credentials and tokens are asked for well before their end.
    #[cfg_attr(test, schemars(extend("default" = "5m")))]
    pub(super) interval: Option<Text<TimeSpan>>,
    /// The shortest time between two requests for one item. Absent: 30 s, or `interval` where that is shorter.
    #[cfg_attr(test, schemars(extend("default" = "30s")))]
    pub(super) min_interval: Option<Text<TimeSpan>>,
    /// The longest pause after failures, which begins at a second and doubles.
    #[cfg_attr(test, schemars(extend("default" = "5m")))]
    pub(super) max_backoff: Option<Text<TimeSpan>>,
    /// The time over which a fleet that starts at once spreads its first requests.
    #[cfg_attr(test, schemars(extend("default" = "0s")))]
    pub(super) splay: Option<Text<TimeSpan>>,
}

/// What is done on a change: exactly one of these.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "OnChange", extend("minProperties" = 1, "maxProperties" = 1)))]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct OnChangeTable {
    /// The child is sent this signal.
    signal: Option<Text<Signal>>,
    /// The child is ended and started again, with what is new in its environment and on its standard input.
    #[cfg_attr(test, schemars(extend("const" = true)))]
    restart: Option<bool>,
    /// This command is run, with the child's environment: the command, then its arguments. No shell is in between.
    #[cfg_attr(test, schemars(length(min = 1)))]
    run: Option<Vec<String>>,
}

/// How the child is run.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Child"))]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct ChildTable {
    /// How it is asked to end.
    #[cfg_attr(test, schemars(extend("default" = "TERM")))]
    pub(super) stop_signal: Option<Text<Signal>>,
    /// How long it may take to end before it is killed.
    #[cfg_attr(test, schemars(extend("default" = "10s")))]
    pub(super) grace: Option<Text<TimeSpan>>,
    /// What happens to it at the use-by of something that it was given.
    #[serde(default)]
    #[cfg_attr(test, schemars(extend("default" = "keep")))]
    pub(super) at_use_by: AtUseBy,
    /// The variables that it gets besides its items. Absent: all, but those that begin with `COUNTERSIGN_`.
    pub(super) inherit: Option<Vec<String>>,
}

/// Where other processes of this machine ask.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Endpoint"))]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct EndpointTable {
    /// Address and port. A loopback address, unless `allow_remote`.
    #[cfg_attr(test, schemars(extend("default" = "127.0.0.1:2773")))]
    pub(super) listen: Option<Text<ListenAddress>>,
    /// Whether another address than a loopback one is meant. What is asked and answered is not encrypted.
    #[serde(default)]
    #[cfg_attr(test, schemars(extend("default" = false)))]
    pub(super) allow_remote: bool,
    /// Names that it may be asked by, with or without a port, besides its address and `localhost`.
    #[serde(default)]
    pub(super) hosts: Vec<String>,
    /// The file of the token that a request must bring. A relative path stands below the runtime folder.
    #[cfg_attr(test, schemars(length(min = 1), extend("default" = "token")))]
    pub(super) token_file: Option<PathBuf>,
}

impl ConfigFile {
    /// Where it is looked for where no place is given.
    pub const DEFAULT_PATH: &str = "/etc/countersign.toml";

    /// The variable that may hold the text in place of a file.
    pub const VARIABLE: &str = "COUNTERSIGN_TOML";

    /// Reads the file of this path; without one that of [`Self::DEFAULT_PATH`], where there is one.
    ///
    /// # Errors
    /// [`ConfigError::Unreadable`], also where others can write it; [`ConfigError::Syntax`].
    pub fn find(path: Option<&Path>) -> Result<Option<Self>, ConfigError> {
        match path {
            Some(path) => Self::read(path).map(Some),
            None => match Self::read(Path::new(Self::DEFAULT_PATH)) {
                Err(ConfigError::Unreadable(error)) if is_missing(&error) => Ok(None),
                file => file.map(Some),
            },
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let bytes =
            read(path, MAX_BYTES, Some(Closed::ToWriting)).map_err(|error| ConfigError::Unreadable(error.into()))?;
        Self::parse(&String::from_utf8_lossy(bytes.expose()), path)
    }

    /// Reads the text of a file, whose path errors tell and templates stand beside.
    ///
    /// # Errors
    /// [`ConfigError::Syntax`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let tables = toml::from_str(text).map_err(|error| syntax_error(text, path, error))?;
        Ok(Self { tables, folder: path.parent().map(Path::to_owned) })
    }

    /// Reads the text that [`Self::VARIABLE`] holds. No template stands beside it.
    ///
    /// # Errors
    /// [`ConfigError::TooLong`], [`ConfigError::Syntax`].
    pub fn parse_variable(text: &str) -> Result<Self, ConfigError> {
        if text.len() > MAX_BYTES {
            return Err(ConfigError::TooLong);
        }
        let file = Self::parse(text, Path::new(Self::VARIABLE))?;
        Ok(Self { folder: None, ..file })
    }

    pub(super) fn take_items(&mut self) -> Result<Vec<Item>, ConfigError> {
        let items = std::mem::take(&mut self.tables.items).into_iter();
        let item = |(Text(name), table): (Text<ItemName>, ItemTable)| {
            let item = table.into_item(name.clone(), self.folder.as_deref());
            item.map_err(|problem| ConfigError::Item { item: name, problem })
        };
        items.map(item).collect()
    }
}

impl OnChangeTable {
    pub(super) fn into_on_change(self) -> Result<OnChange, ConfigError> {
        match self {
            Self { signal: Some(Text(signal)), restart: None, run: None } => Ok(OnChange::Signal(signal)),
            Self { signal: None, restart: Some(true), run: None } => Ok(OnChange::Restart),
            Self { signal: None, restart: None, run: Some(command) } => Ok(OnChange::Run(command)),
            Self { .. } => Err(ConfigError::OnChange),
        }
    }
}

fn is_missing(error: &Error) -> bool {
    matches!(error, Error::File { source, .. } if source.kind() == ErrorKind::NotFound)
}

/// One line of what the parser says, without what a terminal would obey.
fn syntax_error(text: &str, path: &Path, mut error: toml::de::Error) -> ConfigError {
    let message = error.message().trim().replace('\n', ", ").replace(char::is_control, "?");
    let mut position = String::new();
    let mut is_mode = false;
    if let Some(before) = error.span().and_then(|span| text.get(..span.start)) {
        let line = before.matches('\n').count() + 1;
        let last = before.rsplit('\n').next().unwrap_or_default();
        let column = last.chars().count() + 1;
        let assigned = last.trim_end_matches(|digit: char| digit.is_ascii_digit()).trim_end().strip_suffix('=');
        is_mode = assigned.is_some_and(|key| key.trim_end().ends_with("mode"));
        position = format!(", line {line}, column {column}");
    }
    // Without the text it shows the key in place of the line.
    error.set_input(None);
    let shown = error.to_string();
    if let Some(key) = shown.trim_end().rsplit('\n').next().filter(|last| last.starts_with("in `")) {
        position.push_str(&format!(", {}", key.replace(char::is_control, "?")));
    }
    ConfigError::Syntax { path: path.to_owned(), position, message, is_mode }
}
