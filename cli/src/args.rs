use std::{env, path::PathBuf, time::Duration};

use clap::{Parser, Subcommand};
use countersign::{Group, Origin, PackageName, Profile, config::TimeSpan};
use url::Url;

use crate::{
    agent_args::{CredentialProcess, ProbeAgent, RunAgent},
    cert_args::Certificates,
    config_command::ConfigCommands,
    device_args::Devices,
    doctor_command::Doctor,
    exec_command::Exec,
    token_args::Token,
};
#[cfg(feature = "operator")]
use crate::{audit_args::Audit, ca_args::Ca, completions_command::Completions, man_command::Manual};

/// Proves that this machine holds its group's pool, or an ssh key, and receives what policy allows.
///
/// Exit codes:
///   0  done
///   1  a file or the system failed
///   2  wrong usage, or a configuration that is not valid
///   3  material is missing, damaged, open to others or theirs, or cannot be pulled or published; or
///      the ssh-agent or its key is missing or does not sign
///   4  the broker refused the request, a token is not valid, or a thing is in the way
///   5  policy does not allow it
///   6  there is no such thing
///   7  the broker cannot be reached or cannot answer
///   8  the answer is not the broker's
/// Of `countersign exec` besides: those of the command that it runs.
///
/// Examples:
///   countersign pull --group web --from s3://countersign-bucket
///   countersign get app/db
///   countersign token get --header | curl -H @- https://service.example.com/things
#[derive(Debug, Parser)]
#[command(version, verbatim_doc_comment, max_term_width = 100)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Pull(Pull),
    Get(Get),
    Configure(Configure),
    ConsoleUrl(ConsoleUrl),
    Publish(Publish),
    Exec(Exec),
    Agent(RunAgent),
    Probe(ProbeAgent),
    CredentialProcess(CredentialProcess),
    Token(Token),
    Device(Devices),
    Cert(Certificates),
    Config(ConfigCommands),
    Doctor(Doctor),
    #[cfg(feature = "operator")]
    Ca(Ca),
    #[cfg(feature = "operator")]
    Audit(Box<Audit>),
    #[cfg(feature = "operator")]
    Completions(Completions),
    #[cfg(feature = "operator")]
    Man(Manual),
}

/// Fetch the group's manifest and pool, and store them with mode 0600.
///
/// Examples:
///   countersign pull --group web --from s3://countersign-bucket
///   countersign pull --group web --from npm:@acme/web-keys
///   countersign pull --group web --from /mnt/countersign
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Pull {
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Print a secret.
///
/// The bytes of the value go to standard output as they are; a newline follows on a terminal alone.
///
/// Examples:
///   countersign get app/db
///   countersign get app/db --version-stage AWSPREVIOUS
///   countersign get app/keystore > keystore.p12
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Get {
    /// Name of the secret.
    pub(crate) secret: String,
    /// Id of the version, in place of the current one.
    #[arg(long)]
    pub(crate) version_id: Option<String>,
    /// Staging label of the version, in place of AWSCURRENT.
    #[arg(long)]
    pub(crate) version_stage: Option<String>,
    /// Print name, version, stages and value as JSON: `secret_string`, or `secret_binary` in base64.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Write AWS credentials into a profile of the AWS CLI and the SDKs.
///
/// They come from a secret of the form ACCESS_KEY_ID,SECRET_ACCESS_KEY, or are short-lived ones of
/// a role. The files are those of AWS_SHARED_CREDENTIALS_FILE and AWS_CONFIG_FILE, by default in
/// ~/.aws; other profiles stay as they are.
///
/// Examples:
///   countersign configure --profile ci app/ci/aws
///   countersign configure --profile nightly --role nightly --region eu-west-1
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Configure {
    /// Name of the secret that holds the access key.
    #[arg(required_unless_present = "role", conflicts_with = "role")]
    pub(crate) secret: Option<String>,
    /// Alias of a role, in place of a secret.
    #[arg(long)]
    pub(crate) role: Option<String>,
    /// Wished lifetime of the role's credentials.
    #[arg(long, requires = "role")]
    pub(crate) seconds: Option<u32>,
    /// The profile.
    #[arg(long, default_value = "default")]
    pub(crate) profile: Profile,
    /// Region of the profile, where it is to have one.
    #[arg(long, value_parser = region)]
    pub(crate) region: Option<String>,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Print a URL that signs in to the AWS console as a role.
///
/// It works for 15 minutes; the session that it opens lives as long as the role's credentials. Who
/// has the URL is the role.
///
/// Examples:
///   countersign console-url --role admin
///   countersign console-url --role admin --destination https://eu-west-1.console.aws.amazon.com/s3
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct ConsoleUrl {
    /// Alias of the role.
    #[arg(long)]
    pub(crate) role: String,
    /// The page of the console to open [default: its home].
    #[arg(long)]
    pub(crate) destination: Option<Url>,
    /// Region of console and sign-in; it tells the partition too [default: the destination's].
    #[arg(long, value_parser = region)]
    pub(crate) region: Option<String>,
    /// Wished lifetime of the role's credentials.
    #[arg(long)]
    pub(crate) seconds: Option<u32>,
    /// Federation endpoint, in place of the partition's.
    #[arg(long, env = "COUNTERSIGN_FEDERATION_URL")]
    pub(crate) federation_url: Option<Url>,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Publish the group's material as a private npm package, for clients that pull it by npm.
///
/// It becomes the next patch version of what is there, unless the latest version holds this
/// generation. The registry is that of NPM_REGISTRY (by default npm's own), the token that of
/// NPM_TOKEN.
///
/// Example:
///   countersign publish --group web --from s3://countersign-bucket --to npm:@acme/web-keys
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Publish {
    /// The package: npm:@scope/name.
    #[arg(long, value_parser = package, value_name = "PACKAGE")]
    pub(crate) to: PackageName,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Common {
    /// The group that this machine belongs to. Not needed where there is material of one group alone.
    #[arg(long, env = "COUNTERSIGN_GROUP")]
    pub(crate) group: Option<Group>,
    /// Where material is pulled from: s3://BUCKET[/PREFIX], npm:@SCOPE/NAME[@VERSION], an https url, or a folder. With it,
    /// missing and outdated material is pulled by itself.
    #[arg(long, env = "COUNTERSIGN_FROM", value_name = "PLACE")]
    pub(crate) from: Option<Origin>,
    #[command(flatten)]
    pub(crate) broker: Broker,
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Broker {
    /// Folder of the material [default: $XDG_STATE_HOME/countersign or ~/.local/state/countersign].
    #[arg(long, env = "COUNTERSIGN_MATERIAL", value_name = "FOLDER")]
    pub(crate) material: Option<PathBuf>,
    /// URL of the broker, in place of the manifest's.
    #[arg(long, env = "COUNTERSIGN_URL")]
    pub(crate) url: Option<String>,
    /// How long it may take in all: 30s, 2m, or a number of seconds.
    #[arg(long, env = "COUNTERSIGN_TIMEOUT", default_value = "30", value_parser = timeout, value_name = "DURATION")]
    pub(crate) timeout: Duration,
}

impl Broker {
    /// The folder of the material.
    pub(crate) fn folder(&self) -> PathBuf {
        self.material.clone().unwrap_or_else(state_folder)
    }
}

/// The folder of what this program keeps.
pub(crate) fn state_folder() -> PathBuf {
    let state = env::var_os("XDG_STATE_HOME").filter(|path| !path.is_empty()).map(PathBuf::from);
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    state.or_else(home).unwrap_or_else(|| PathBuf::from("/var/lib")).join("countersign")
}

fn region(text: &str) -> Result<String, String> {
    let valid = !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if valid { Ok(text.to_owned()) } else { Err("not a region's name".into()) }
}

fn package(text: &str) -> Result<PackageName, String> {
    text.strip_prefix("npm:").unwrap_or(text).parse().map_err(|_| "not a package in a scope: npm:@scope/name".into())
}

/// A time span, or a number of seconds. Not nothing, which no broker answers in.
pub(crate) fn timeout(text: &str) -> Result<Duration, String> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let span = if is_number { format!("{text}s").parse() } else { text.parse() };
    let time =
        span.map(TimeSpan::duration).map_err(|_| "not a time span, such as 30s or 2m, nor a number of seconds")?;
    if time.is_zero() { Err("that is no time".into()) } else { Ok(time) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_a_time_span_or_a_number_of_seconds() {
        for (text, seconds) in [("30", 30), ("30s", 30), ("2m", 120), ("1h 30m", 5400)] {
            assert_eq!(timeout(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for bad in ["", "0", "0s", "-1", "1.5", "soon", "99999999999999999999", "315360001"] {
            assert!(timeout(bad).is_err(), "{bad}");
        }
    }
}
