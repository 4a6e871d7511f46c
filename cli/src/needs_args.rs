use std::{
    env,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use countersign::{
    Error, Group, Origin,
    config::{
        BrokerSettings, Config, ConfigFile, Given, GivenItem, Inherit, InvalidGivenItem, InvalidListenAddress,
        InvalidTimeSpan, ListenAddress, OnChange, TimeSpan,
    },
};

use crate::{
    args::{Common, timeout},
    commands::usage,
};

/// What is needed, and where it goes: what `countersign.toml` says, and what flags and variables say besides.
///
/// [`commands::client`](crate::commands::client) makes the client of what [`Needs::config`] gives.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "What is needed")]
pub(crate) struct Needs {
    /// The configuration [default: /etc/countersign.toml, where there is one]. The variable COUNTERSIGN_TOML holds its text in place of
    /// a file.
    #[arg(long, env = "COUNTERSIGN_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// A variable of the child. REF is secret:ID, secret:ID#MEMBER, role:ALIAS or access-token; of a role, NAME is what the names of
    /// three begin with. May be given often; in the variable, one after a semicolon.
    #[arg(long, env = "COUNTERSIGN_ENV", value_name = "NAME=REF", value_delimiter = ';', value_parser = variable)]
    env: Vec<Option<GivenItem>>,
    /// A file, mode 0400; a relative path stands below the runtime folder, which is in memory. May be given often.
    #[arg(long, env = "COUNTERSIGN_FILES", value_name = "PATH=REF", value_delimiter = ';', value_parser = file)]
    file: Vec<Option<GivenItem>>,
    /// What the child reads from its standard input.
    #[arg(long, env = "COUNTERSIGN_STDIN", value_name = "REF", value_parser = GivenItem::stdin)]
    stdin: Option<GivenItem>,
    /// What is done on a change: signal:HUP, restart, or run:COMMAND, which is split at white space.
    #[arg(long, env = "COUNTERSIGN_ON_CHANGE", value_name = "ACTION")]
    on_change: Option<OnChange>,
    /// How long after it came a secret is asked for again: 30s, 5m, 1h 30m [default: 5m].
    #[arg(long, env = "COUNTERSIGN_INTERVAL", value_name = "DURATION", value_parser = duration)]
    interval: Option<Duration>,
    /// Where other processes of this machine ask for credentials and secrets, as 127.0.0.1:2773.
    #[arg(long, env = "COUNTERSIGN_LISTEN", value_name = "ADDRESS", value_parser = listen)]
    listen: Option<SocketAddr>,
    /// The variables that the child gets besides its items, separated by commas; empty: none [default: all but COUNTERSIGN_* and NPM_TOKEN].
    #[arg(long, env = "COUNTERSIGN_INHERIT", value_name = "NAME,...")]
    inherit: Option<Inherit>,
    #[command(flatten)]
    broker: NeedsBroker,
}

#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Broker")]
struct NeedsBroker {
    /// The group that this machine belongs to. Not needed where there is material of one group alone.
    #[arg(long, env = "COUNTERSIGN_GROUP")]
    group: Option<Group>,
    /// Where material is pulled from: s3://BUCKET[/PREFIX], npm:@SCOPE/NAME[@VERSION], an https url, or a folder. With it,
    /// missing and outdated material is pulled by itself.
    #[arg(long, env = "COUNTERSIGN_FROM", value_name = "PLACE")]
    from: Option<Origin>,
    /// Folder of the material [default: $XDG_STATE_HOME/countersign or ~/.local/state/countersign].
    #[arg(long, env = "COUNTERSIGN_MATERIAL", value_name = "FOLDER")]
    material: Option<PathBuf>,
    /// URL of the broker, in place of the manifest's.
    #[arg(long, env = "COUNTERSIGN_URL")]
    url: Option<String>,
    /// How long the start may take: 30s, 2m, or a number of seconds [default: 2m].
    #[arg(long, env = "COUNTERSIGN_TIMEOUT", value_parser = timeout, value_name = "DURATION")]
    timeout: Option<Duration>,
}

impl Needs {
    /// The configuration that they make together.
    pub(crate) fn config(&self) -> Result<Config, Error> {
        let Self { config, env, file, stdin, on_change, interval, listen, inherit, broker } = self.clone();
        let NeedsBroker { group, from, material, url, timeout } = broker;
        let items = env.into_iter().chain(file).chain([stdin]).flatten().collect();
        let given = Given { group, from, material, url, timeout, items, on_change, interval, listen, inherit };
        Ok(Config::new(config_file(config.as_deref())?, given)?)
    }
}

/// The configuration of this path, or the text of `COUNTERSIGN_TOML`; without both, the one of the default path.
pub(crate) fn config_file(path: Option<&Path>) -> Result<Option<ConfigFile>, Error> {
    let text = env::var_os(ConfigFile::VARIABLE).filter(|text| !text.is_empty());
    match (path, text) {
        (Some(_), Some(_)) => usage("COUNTERSIGN_TOML cannot be used with --config or COUNTERSIGN_CONFIG"),
        (None, Some(text)) => Ok(Some(ConfigFile::parse_variable(&text.to_string_lossy())?)),
        (path, None) => Ok(ConfigFile::find(path)?),
    }
}

impl From<Common> for BrokerSettings {
    fn from(Common { group, from, broker }: Common) -> Self {
        Self { group, from, material: broker.material, url: broker.url, timeout: broker.timeout }
    }
}

fn variable(text: &str) -> Result<Option<GivenItem>, InvalidGivenItem> {
    unless_blank(text, GivenItem::variable)
}

fn file(text: &str) -> Result<Option<GivenItem>, InvalidGivenItem> {
    unless_blank(text, GivenItem::file)
}

/// A list may end in a semicolon, and stand on several lines.
fn unless_blank(
    text: &str,
    read: fn(&str) -> Result<GivenItem, InvalidGivenItem>,
) -> Result<Option<GivenItem>, InvalidGivenItem> {
    let text = text.trim();
    if text.is_empty() { Ok(None) } else { read(text).map(Some) }
}

pub(crate) fn listen(text: &str) -> Result<SocketAddr, InvalidListenAddress> {
    text.parse().map(ListenAddress::socket)
}

fn duration(text: &str) -> Result<Duration, InvalidTimeSpan> {
    text.parse().map(TimeSpan::duration)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        needs: Needs,
    }

    fn parse(arguments: &[&str]) -> Result<Needs, clap::Error> {
        let arguments = ["countersign", "--config", "/dev/null"].iter().chain(arguments);
        Command::try_parse_from(arguments).map(|command| command.needs)
    }

    #[test]
    fn lists_are_separated_by_semicolons_and_may_stand_on_lines() {
        let needs = parse(&[
            "--env=A=secret:a; B=secret:b#m ;\n",
            "--env",
            "C=role:c",
            "--file=/x=y=access-token;z=secret:a",
            "--stdin=secret:a#n",
        ]);
        let needs = needs.unwrap();
        let read = |items: &[Option<GivenItem>]| items.iter().flatten().cloned().collect::<Vec<_>>();
        let variables = ["A=secret:a", "B=secret:b#m", "C=role:c"].map(|text| GivenItem::variable(text).unwrap());
        assert_eq!(read(&needs.env), variables);
        let files = ["/x=y=access-token", "z=secret:a"].map(|text| GivenItem::file(text).unwrap());
        assert_eq!(read(&needs.file), files);
        assert_eq!(needs.stdin, Some(GivenItem::stdin("secret:a#n").unwrap()));
    }

    #[test]
    fn what_cannot_be_read_is_wrong_usage() {
        for arguments in [
            "--env=A",
            "--env=A=b",
            "--file=secret:a",
            "--stdin=A=secret:a",
            "--on-change=signal:KILL",
            "--interval=5",
            "--listen=localhost:2773",
            "--listen=2773",
            "--timeout=0",
        ] {
            assert_eq!(parse(&[arguments]).unwrap_err().exit_code(), 2, "{arguments}");
        }
    }
}
