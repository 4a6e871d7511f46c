use std::{convert::Infallible, fmt, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use protocol::Group;
use serde::Deserialize;

use crate::Origin;

/// What a container needs, and how it is to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Which broker, and what this machine proves itself with.
    pub broker: BrokerSettings,
    /// What is needed, by name.
    pub items: Vec<super::Item>,
    /// When it is asked for again.
    pub refresh: RefreshSettings,
    /// What is done where something changed that a child sees.
    pub on_change: Option<OnChange>,
    /// How the child is run.
    pub child: ChildSettings,
    /// Where other processes of the machine ask, if they may.
    pub endpoint: Option<EndpointSettings>,
    /// The folder that relative paths stand below; absent: one in memory.
    pub runtime: Option<PathBuf>,
}

/// Which broker, and what this machine proves itself with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerSettings {
    /// The group; absent: that of the only material.
    pub group: Option<Group>,
    /// Where material is pulled from.
    pub from: Option<Origin>,
    /// The folder of the material; absent: the state folder.
    pub material: Option<PathBuf>,
    /// The broker's url, in place of the manifest's.
    pub url: Option<String>,
    /// How long the start may take.
    pub timeout: Duration,
}

/// When what is there is asked for again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshSettings {
    /// How long after it came a secret is asked for again, where nothing makes it earlier.
    pub interval: Duration,
    /// The shortest time between two requests for one item.
    pub min_interval: Duration,
    /// The longest pause after failures.
    pub max_backoff: Duration,
    /// The time over which a fleet that starts at once spreads its first requests.
    pub splay: Duration,
}

/// What is done where something changed that a child sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OnChange {
    /// The child is sent this signal.
    Signal(Signal),
    /// The child is ended and started again.
    Restart,
    /// This command is run.
    Run(Vec<String>),
}

/// A signal that a child can be sent, by its name without `SIG`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// `SIGHUP`.
    Hup,
    /// `SIGINT`.
    Int,
    /// `SIGQUIT`.
    Quit,
    /// `SIGTERM`.
    Term,
    /// `SIGUSR1`.
    Usr1,
    /// `SIGUSR2`.
    Usr2,
    /// `SIGWINCH`.
    Winch,
}

/// Not a signal's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a signal: HUP, INT, QUIT, TERM, USR1, USR2 or WINCH")]
pub struct InvalidSignal;

/// Not what can be done on a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not signal:NAME, restart or run:COMMAND")]
pub struct InvalidOnChange;

/// How a child is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildSettings {
    /// How it is asked to end.
    pub stop_signal: Signal,
    /// How long it may take to end.
    pub grace: Duration,
    /// What happens to it at the use-by of something that it was given.
    pub at_use_by: AtUseBy,
    /// Which of this process's variables it gets.
    pub inherit: Inherit,
}

/// What happens to the child at the use-by of something that it was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AtUseBy {
    /// It goes on.
    #[default]
    Keep,
    /// It is ended.
    Stop,
}

/// Which of this process's variables a child gets, besides its items. Never those that begin with `COUNTERSIGN_`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Inherit {
    /// All.
    #[default]
    All,
    /// These.
    These(Vec<String>),
}

/// Where other processes of the machine ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointSettings {
    /// The address; a loopback one unless `allow_remote`.
    pub listen: SocketAddr,
    /// Whether another address than a loopback one is meant.
    pub allow_remote: bool,
    /// Names that it may be asked by, besides the address and `localhost`.
    pub hosts: Vec<String>,
    /// The file of the token that a request must bring; a relative path stands below the runtime folder.
    pub token_file: PathBuf,
}

impl EndpointSettings {
    /// The variables that a child is given, by which the SDKs find the endpoint.
    pub const VARIABLES: [&str; 2] = ["AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"];
}

impl RefreshSettings {
    /// Every five minutes, every thirty seconds at most, after failures every five minutes at least, at once.
    pub const DEFAULT: Self = Self {
        interval: Duration::from_secs(300),
        min_interval: Duration::from_secs(30),
        max_backoff: Duration::from_secs(300),
        splay: Duration::ZERO,
    };
}

impl Signal {
    /// Every signal.
    pub const ALL: [Self; 7] = [Self::Hup, Self::Int, Self::Quit, Self::Term, Self::Usr1, Self::Usr2, Self::Winch];

    /// Its name without `SIG`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hup => "HUP",
            Self::Int => "INT",
            Self::Quit => "QUIT",
            Self::Term => "TERM",
            Self::Usr1 => "USR1",
            Self::Usr2 => "USR2",
            Self::Winch => "WINCH",
        }
    }
}

impl FromStr for OnChange {
    type Err = InvalidOnChange;

    /// Reads `signal:NAME`, `restart`, or `run:COMMAND ARGUMENT...`, which is split at white space.
    fn from_str(text: &str) -> Result<Self, InvalidOnChange> {
        match text.split_once(':') {
            None if text == "restart" => Ok(Self::Restart),
            Some(("signal", name)) => name.parse().map(Self::Signal).map_err(|_| InvalidOnChange),
            Some(("run", command)) if !command.trim().is_empty() => {
                Ok(Self::Run(command.split_whitespace().map(str::to_owned).collect()))
            }
            None | Some(_) => Err(InvalidOnChange),
        }
    }
}

impl fmt::Display for OnChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signal(signal) => write!(f, "signal:{}", signal.name()),
            Self::Restart => f.write_str("restart"),
            Self::Run(command) => write!(f, "run:{}", command.join(" ")),
        }
    }
}

impl FromStr for Inherit {
    type Err = Infallible;

    /// Reads `NAME,NAME,...`, which may be empty: none. Whether they are names is for the rules to say.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        Ok(Self::These(names.map(str::to_owned).collect()))
    }
}

impl FromStr for Signal {
    type Err = InvalidSignal;

    fn from_str(text: &str) -> Result<Self, InvalidSignal> {
        let name = text.strip_prefix("SIG").unwrap_or(text);
        Self::ALL.into_iter().find(|signal| signal.name() == name).ok_or(InvalidSignal)
    }
}
