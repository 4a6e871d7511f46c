use std::net::IpAddr;

use clap::{
    Subcommand,
    builder::{StringValueParser, TypedValueParser as _},
};
use countersign::{Fingerprint, Secret};

use crate::args::{Broker, Common};
#[cfg(feature = "operator")]
use crate::issue_args::TokenIssue;

/// Access tokens: short-lived, good in one network, verified with the broker's keys.
///
/// Examples:
///   countersign token get --header | curl -H @- https://service.example.com/things
///   countersign token keys && countersign token verify --address 192.0.2.7
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Token {
    #[command(subcommand)]
    pub(crate) command: TokenCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    Get(TokenGet),
    Show(TokenShow),
    Verify(TokenVerify),
    Keys(TokenKeys),
    #[cfg(feature = "operator")]
    Issue(TokenIssue),
}

/// Print an access token, for an ssh key or for the machine's group.
///
/// With an ssh key: the agent (SSH_AUTH_SOCK) signs by the key that --key or COUNTERSIGN_KEY names.
/// Where neither does, its keys are tried until the broker gives a token, those in hardware last,
/// since they want to be touched.
///
/// Where a group is named (--group, COUNTERSIGN_GROUP), the token is the group's, by the exchange
/// that also gets secrets. A group goes before COUNTERSIGN_KEY, and --key before both.
///
/// Tokens are kept in $XDG_STATE_HOME/countersign/tokens (~/.local/state/countersign/tokens), open
/// to their owner alone, and printed again while more than a tenth of their life and a minute is
/// left. A token works in one network, by default from the address that it was asked for from:
/// --fresh gets another after a move.
///
/// Examples:
///   countersign token get --url https://broker.example.com
///   countersign token get --key SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU
///   countersign token get --group web
///   countersign token get --header | curl -H @- https://service.example.com/things
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct TokenGet {
    /// Print the header that the token is used in: `Authorization: Bearer TOKEN`.
    #[arg(long)]
    pub(crate) header: bool,
    #[command(flatten)]
    pub(crate) access: Access,
}

/// Whose access token it is to be, and how fresh.
#[derive(Clone, Debug, clap::Args)]
#[command(mut_arg("group", |group| group.help("The group that the token is for")))]
pub(crate) struct Access {
    /// Fingerprint of the ssh key, as `ssh-add -l` shows it. COUNTERSIGN_KEY names it as well.
    #[arg(long, value_name = "FINGERPRINT")]
    pub(crate) key: Option<Fingerprint>,
    /// Get a new token, whatever is kept.
    #[arg(long)]
    pub(crate) fresh: bool,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Print what a token says: subject, scope, network, times, session and key.
///
/// Nothing is verified: anybody can write such a token. See `countersign token verify`.
///
/// Examples:
///   countersign token show
///   countersign token show --json
///   echo "$TOKEN" | countersign token show -
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct TokenShow {
    /// The token, or - for standard input, where other users don't see it [default: the broker's that is kept and ends last].
    #[arg(value_parser = StringValueParser::new().map(Secret::new))]
    pub(crate) token: Option<Secret<String>>,
    /// Print the claims as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) broker: Broker,
}

/// Verify a token: with the keys that `countersign token keys` stored, or at the issuer.
///
/// Exit code 0: it is valid; 4: it is not, and standard error says why, where no issuer was asked.
///
/// Examples:
///   countersign token verify --address 192.0.2.7
///   countersign token verify --at-issuer
///   echo "$TOKEN" | countersign token verify -
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct TokenVerify {
    /// The token, or - for standard input, where other users don't see it [default: the broker's that is kept and ends last].
    #[arg(value_parser = StringValueParser::new().map(Secret::new))]
    pub(crate) token: Option<Secret<String>>,
    /// Address of the caller that it has to be valid for. Without it the network is not checked.
    #[arg(long, value_name = "IP", conflicts_with = "at_issuer")]
    pub(crate) address: Option<IpAddr>,
    /// Ask the issuer, which checks the network for the address that it sees this machine at.
    #[arg(long)]
    pub(crate) at_issuer: bool,
    #[command(flatten)]
    pub(crate) broker: Broker,
}

/// Fetch the issuer's public keys, store them for `countersign token verify`, and print their ids.
///
/// Examples:
///   countersign token keys --url https://broker.example.com
///   countersign token keys --json > jwks.json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct TokenKeys {
    /// Print the keys as a JWK Set (RFC 7517).
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) broker: Broker,
}
