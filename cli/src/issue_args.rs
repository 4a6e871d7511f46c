use std::time::Duration;

use countersign::{Lifetime, Network, NetworkName, Scope};

use crate::args::timeout;

/// Issue a network token, for operators: who is in the network can use it, whatever machine he has.
///
/// It invokes the function STACK-issue with AWS credentials from where the AWS SDKs look for them,
/// which need lambda:InvokeFunction on it. The deployment has a ceiling of the lifetime, and
/// records every token.
///
/// Examples:
///   countersign token issue --network 10.0.0.0/16 --ttl 7d --scope "things:read things:write"
///   countersign token issue --network 2001:db8::/48 --ttl 12h --name nightly --stack countersign-test
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct TokenIssue {
    /// Where it is to be valid: ADDRESS/LENGTH, without host bits.
    #[arg(long, value_name = "NETWORK")]
    pub(crate) network: Network,
    /// How long: 7d, 12h, 1h 30m.
    #[arg(long, value_name = "DURATION")]
    pub(crate) ttl: Lifetime,
    /// What for: words with one space between them.
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) scope: Scope,
    /// What it is called in logs: 1 to 64 of letters, digits and ._@- [default: the network].
    #[arg(long)]
    pub(crate) name: Option<NetworkName>,
    /// The deployment's stack.
    #[arg(long, env = "COUNTERSIGN_STACK", default_value = "countersign")]
    pub(crate) stack: String,
    /// Print the header that the token is used in: `Authorization: Bearer TOKEN`.
    #[arg(long)]
    pub(crate) header: bool,
    /// How long it may take in all: 30s, 2m, or a number of seconds.
    #[arg(long, env = "COUNTERSIGN_TIMEOUT", default_value = "30", value_parser = timeout, value_name = "DURATION")]
    pub(crate) timeout: Duration,
}
