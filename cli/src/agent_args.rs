use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::ValueEnum;
use countersign::endpoint::Probe;

use crate::{
    args::Common,
    needs_args::{Needs, listen},
};

/// Keep what other programs of this machine need fresh: in files, and at an endpoint.
///
/// Files are written as their items come, and again when they change. The endpoint gives AWS SDKs
/// credentials as Amazon ECS does (AWS_CONTAINER_CREDENTIALS_FULL_URI and
/// AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE), clients of the AWS Secrets Manager Agent secrets, and
/// Prometheus numbers: see [endpoint] of countersign.toml. The agent begins without the broker, and
/// /ready tells when all is there. SIGHUP has everything asked for again; SIGTERM ends the agent,
/// and its files go.
///
/// With --once it obtains everything or nothing, writes the files, and ends. They stay: for a
/// container that prepares another one.
///
/// COUNTERSIGN_LOG is how much it logs, on standard error: error, warn, info (the default) or debug.
///
/// Examples:
///   countersign agent
///   countersign agent --config countersign.toml --listen 127.0.0.1:2773
///   countersign agent --once --file /run/app/db-password=secret:app/db#password
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct RunAgent {
    /// Obtain everything once, write the files, and end.
    #[arg(long)]
    pub(crate) once: bool,
    #[command(flatten)]
    pub(crate) needs: Needs,
}

/// Ask the running agent how it is: for health checks of images that have no shell.
///
/// It is found by the configuration, as the agent was started with. Exit code 0 where it is, else
/// 7. No token is needed.
///
/// Examples:
///   countersign probe
///   countersign probe live
///   countersign probe ready --listen 127.0.0.1:2773
///   countersign probe started --wait 2m
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct ProbeAgent {
    /// What it is asked.
    #[arg(default_value = "ready")]
    pub(crate) what: What,
    /// Ask again until it is so, for this long at most: 2m, 30s.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "0s", hide_default_value = true)]
    pub(crate) wait: Duration,
    #[command(flatten)]
    pub(crate) needs: Needs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum What {
    /// Whether it runs.
    Live,
    /// Whether every item may be used now, and is in its files.
    Ready,
    /// Whether that was so once, at the time of a probe. For what restarts or replaces a container that fails its check.
    Started,
}

/// Print AWS credentials as the AWS CLI and the SDKs take them from a program.
///
/// They come from a secret of the form ACCESS_KEY_ID,SECRET_ACCESS_KEY, or are short-lived ones of
/// a role, which are asked for again at their end. With --agent the running agent is asked in place
/// of the broker: for what its configuration names. Where it fails, nothing is printed but the
/// error, on standard error.
///
/// Examples:
///   countersign credential-process app/ci/aws
///   countersign credential-process --role nightly --seconds 3600
///   countersign credential-process --role nightly --agent
///
///   In ~/.aws/config:
///   [profile nightly]
///   credential_process = /usr/bin/countersign credential-process --role nightly --group web
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct CredentialProcess {
    /// Name of the secret that holds the access key.
    #[arg(required_unless_present = "role", conflicts_with = "role")]
    pub(crate) secret: Option<String>,
    /// Alias of a role, in place of a secret.
    #[arg(long)]
    pub(crate) role: Option<String>,
    /// Wished lifetime of the role's credentials.
    #[arg(long, requires = "role")]
    pub(crate) seconds: Option<u32>,
    /// Ask the running agent in place of the broker.
    #[arg(long, conflicts_with = "seconds")]
    pub(crate) agent: bool,
    /// The agent's configuration [default: /etc/countersign.toml, where there is one].
    #[arg(long, env = "COUNTERSIGN_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where the agent listens, in place of what its configuration says.
    #[arg(long, env = "COUNTERSIGN_LISTEN", value_name = "ADDRESS", value_parser = listen)]
    pub(crate) listen: Option<SocketAddr>,
    #[command(flatten)]
    pub(crate) common: Common,
}

impl From<What> for Probe {
    fn from(what: What) -> Self {
        match what {
            What::Live => Self::Live,
            What::Ready => Self::Ready,
            What::Started => Self::Started,
        }
    }
}
