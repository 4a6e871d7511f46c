use std::{env, path::PathBuf, time::Duration};

use clap::{Parser, Subcommand};
use countersign::{Group, Origin};

/// Proves that this machine holds its group's pool, and receives what policy allows.
///
/// Exit codes: 0 done; 1 a file or the system failed; 2 wrong usage; 3 material is missing, damaged, open to others or
/// theirs, or cannot be pulled; 4 the broker refused the request; 5 policy does not allow it; 6 there is no such thing; 7 the
/// broker cannot be reached or cannot answer; 8 the answer is not the broker's.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Pull(Pull),
    Get(Get),
}

/// Fetch the group's manifest and pool, and store them with mode 0600.
///
/// Examples:
///   countersign pull --group web --from s3://countersign-bucket
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

#[derive(Debug, clap::Args)]
pub(crate) struct Common {
    /// The group that this machine belongs to. Not needed where there is material of one group alone.
    #[arg(long, env = "COUNTERSIGN_GROUP")]
    pub(crate) group: Option<Group>,
    /// Folder of the material [default: $XDG_STATE_HOME/countersign or ~/.local/state/countersign].
    #[arg(long, env = "COUNTERSIGN_MATERIAL", value_name = "FOLDER")]
    pub(crate) material: Option<PathBuf>,
    /// Where material is pulled from: s3://BUCKET[/PREFIX], an https url, or a folder. With it, `get` pulls missing
    /// and outdated material by itself.
    #[arg(long, env = "COUNTERSIGN_FROM", value_name = "PLACE")]
    pub(crate) from: Option<Origin>,
    /// URL of the broker, in place of the manifest's.
    #[arg(long, env = "COUNTERSIGN_URL")]
    pub(crate) url: Option<String>,
    /// Seconds that it may take in all.
    #[arg(long, env = "COUNTERSIGN_TIMEOUT", default_value = "30", value_parser = seconds, value_name = "SECONDS")]
    pub(crate) timeout: Duration,
}

impl Common {
    /// The folder of the material.
    pub(crate) fn folder(&self) -> PathBuf {
        self.material.clone().unwrap_or_else(|| {
            let state = env::var_os("XDG_STATE_HOME").filter(|path| !path.is_empty()).map(PathBuf::from);
            let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
            state.or_else(home).unwrap_or_else(|| PathBuf::from("/var/lib")).join("countersign")
        })
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds)),
        _ => Err("not a number of seconds".into()),
    }
}
