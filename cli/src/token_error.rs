use std::{fmt, io, path::PathBuf};

use access_token::{Fingerprint, SignatureRefusal, SshKey, TokenRefusal};
use ports::{Cause, Fault};

/// Why there is no token, or none that is valid.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// A token or a nonce would travel so that others can read it.
    #[error("the broker's url is neither https nor this machine's")]
    InTheClear,
    /// No agent is named.
    #[error("no ssh-agent: SSH_AUTH_SOCK is not set")]
    NoAgent,
    /// The agent cannot be talked to.
    #[error("cannot talk to the ssh-agent at {}", .socket.display())]
    Agent {
        /// Where it should listen.
        socket: PathBuf,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// The agent does not answer.
    #[error("the ssh-agent does not answer")]
    SilentAgent,
    /// What answers is no agent.
    #[error("the answer is not an ssh-agent's")]
    ForeignAgent,
    /// The agent did not do what was asked for.
    #[error("the ssh-agent refused")]
    AgentRefused,
    /// The agent's signature is not one that was asked for.
    #[error("the ssh-agent's signature cannot be used")]
    AgentSignature(#[source] SignatureRefusal),
    /// The agent has no key that a token could be given for.
    #[error("the ssh-agent has no key of a kind that tokens are given for")]
    NoKeys,
    /// The agent has no key of this fingerprint.
    #[error("the ssh-agent has no such key; it has{0}")]
    NotInAgent(Candidates),
    /// The broker does not know the key, or does not take what it signed.
    #[error("the broker refused the key {fingerprint} (request id {request_id})")]
    KeyRefused {
        /// The key.
        fingerprint: Fingerprint,
        /// Under this id the broker's audit log holds the reason.
        request_id: String,
    },
    /// The broker refused every key of the agent.
    #[error("the broker refused every key of the ssh-agent:{0}")]
    AllRefused(Candidates),
    /// Policy does not allow a token for a key that is known.
    #[error("policy does not allow a token for {fingerprint} (request id {request_id})")]
    Denied {
        /// The key.
        fingerprint: Fingerprint,
        /// Under this id the broker's audit log holds the event.
        request_id: String,
    },
    /// The nonce is not signed by a key that the broker publishes.
    #[error("the nonce is not the broker's")]
    ForeignNonce(#[source] TokenRefusal),
    /// The nonce is of an issuer that is asked elsewhere: what answers passes requests on to it.
    #[error("the nonce is of the issuer at {}, not of the one that was asked", .host.as_deref().unwrap_or("an unknown host"))]
    Relayed {
        /// Where that issuer is asked.
        host: Option<String>,
    },
    /// The token is not one of the broker's that is valid now.
    #[error("the token that came is not valid")]
    ForeignToken(#[source] TokenRefusal),
    /// The answer is for another client, or another request.
    #[error("the broker's answer is not for this request")]
    ForOthers,
    /// What was given is no token.
    #[error("not an access token")]
    NotAToken,
    /// There is no token of this broker on this machine.
    #[error("no access token of {url} on this machine")]
    NoToken {
        /// The broker.
        url: String,
    },
    /// There are no keys of this broker on this machine.
    #[error("no keys of {url} on this machine")]
    NoStoredKeys {
        /// The broker.
        url: String,
    },
    /// The token is not valid.
    #[error("the token is not valid ({})", .0.code())]
    NotValid(#[source] TokenRefusal),
    /// The issuer says that the token is not valid where it is used.
    #[error("the broker refused the token (request id {request_id})")]
    RefusedByIssuer {
        /// Under this id the broker's log holds the reason.
        request_id: String,
    },
    /// The function does not issue a token of this lifetime; the message says why.
    #[error("{0}")]
    Lifetime(String),
    /// The function failed; the message says as much as is fit to be shown.
    #[error("{function} failed: {message}")]
    NotIssued {
        /// The function.
        function: String,
        /// What it said.
        message: String,
    },
    /// The function may not be invoked with these credentials.
    #[error("not permitted: lambda:InvokeFunction on {function}")]
    NotPermitted {
        /// The function.
        function: String,
        /// What AWS says.
        #[source]
        source: Cause,
    },
    /// There is no such function.
    #[error("there is no function {function}")]
    NoFunction {
        /// The function.
        function: String,
    },
    /// The function could not be invoked.
    #[error("cannot invoke {function}")]
    Invoke {
        /// The function.
        function: String,
        /// Why not.
        #[source]
        source: Fault,
    },
}

/// Keys of an agent, as an error lists them: each on a line, with fingerprint, type and comment.
#[derive(Clone, Debug)]
pub struct Candidates(Vec<SshKey>);

impl Candidates {
    pub(crate) const fn new(keys: Vec<SshKey>) -> Self {
        Self(keys)
    }
}

impl fmt::Display for Candidates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|key| {
            // A comment is the key owner's choice, and must not control the terminal.
            let comment = key.comment().replace(char::is_control, "?");
            write!(f, "\n  {} {} {comment}", key.fingerprint(), key.algorithm())
        })
    }
}

impl TokenError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::InTheClear => "a token is its bearer's: give --url https://...".into(),
            Self::NoAgent => {
                "start one: eval \"$(ssh-agent)\" && ssh-add; a machine with a group's material gives --group".into()
            }
            Self::Agent { .. } | Self::SilentAgent | Self::ForeignAgent => {
                "check that SSH_AUTH_SOCK names an agent's socket: ssh-add -l".into()
            }
            Self::AgentRefused => "it may be locked, or its user did not confirm or touch: try again".into(),
            Self::AgentSignature(SignatureRefusal::Sha1) => {
                "this agent does not know rsa-sha2-512: use another kind of key, or OpenSSH's agent".into()
            }
            Self::AgentSignature(_) => "try again, or use OpenSSH's agent".into(),
            Self::NoKeys => "add one: ssh-add; ed25519, ecdsa P-256 and P-384, rsa, and their security keys".into(),
            Self::NotInAgent(_) => "add it: ssh-add; or name another one with --key".into(),
            Self::KeyRefused { .. } | Self::AllRefused(_) => {
                "have one added under ssh-keys/ of the broker's bucket (known within a minute); --key names one".into()
            }
            Self::Denied { .. } => {
                "a policy under policies/ of the broker's bucket must permit token:issue for this key".into()
            }
            Self::ForeignToken(TokenRefusal::NotYetValid | TokenRefusal::Expired) => {
                "this machine's clock may be wrong: set it".into()
            }
            Self::ForeignNonce(_) | Self::ForeignToken(_) | Self::ForOthers => {
                "what answers is not the broker: check --url, or --stack".into()
            }
            Self::Relayed { .. } => {
                "give that issuer's own url with --url, if it is the one that you mean; BROKER_URL of its deployment"
                    .into()
            }
            Self::NotAToken => "give the token alone, or - to read it from standard input".into(),
            Self::NoToken { .. } => "get one: countersign token get; or give it".into(),
            Self::NoStoredKeys { url } => {
                format!("fetch them: countersign token keys --url {url}; or ask the broker: --at-issuer")
            }
            Self::NotValid(TokenRefusal::UnknownKey) => {
                "the issuer's keys may have been replaced since: countersign token keys".into()
            }
            Self::NotValid(TokenRefusal::WrongNetwork) => "countersign token show tells its network".into(),
            Self::NotValid(_) => "get another one: countersign token get --fresh".into(),
            Self::RefusedByIssuer { .. } => {
                "it ended, or is for another network than this machine's: countersign token show".into()
            }
            Self::Lifetime(_) => "give another --ttl; the deployment's ceiling is MaxTokenSeconds".into(),
            Self::NotIssued { .. } => "its log tells why; try again later".into(),
            Self::NotPermitted { function, .. } => {
                format!("these AWS credentials need lambda:InvokeFunction on {function}")
            }
            Self::NoFunction { .. } => "check --stack, and that account and region are the stack's".into(),
            Self::Invoke { .. } => "check the AWS credentials, the region and the network".into(),
        }
    }

    /// The exit code of the command.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::InTheClear | Self::NotAToken | Self::Lifetime(_) => 2,
            Self::NoAgent
            | Self::Agent { .. }
            | Self::SilentAgent
            | Self::ForeignAgent
            | Self::AgentRefused
            | Self::AgentSignature(_)
            | Self::NoKeys
            | Self::NotInAgent(_)
            | Self::NoToken { .. }
            | Self::NoStoredKeys { .. } => 3,
            Self::KeyRefused { .. } | Self::AllRefused(_) | Self::NotValid(_) | Self::RefusedByIssuer { .. } => 4,
            Self::Denied { .. } | Self::NotPermitted { .. } => 5,
            Self::NoFunction { .. } => 6,
            Self::NotIssued { .. } | Self::Invoke { .. } => 7,
            Self::ForeignNonce(_) | Self::ForeignToken(_) | Self::ForOthers | Self::Relayed { .. } => 8,
        }
    }
}
