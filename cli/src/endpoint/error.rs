use std::{io, net::SocketAddr, path::PathBuf};

/// Why the endpoint does not listen, or did not give what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// Others than this machine would reach it, and the configuration does not say that they may.
    #[error("{0} is no loopback address")]
    NotLoopback(SocketAddr),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// The configuration names no endpoint.
    #[error("the configuration has no endpoint")]
    NotConfigured,
    /// No agent answers.
    #[error("no agent answers at {address}")]
    Silent {
        /// Where it was asked.
        address: SocketAddr,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// There is no token to ask with.
    #[error("there is no token of an agent in {}", .path.display())]
    NoToken {
        /// Where it was looked for.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// The agent lives, and not everything that it is to hold may be used.
    #[error("the agent is not ready: an item did not come yet or is past its use-by")]
    NotReady,
    /// The agent has no value of what was asked for that may be used now.
    #[error("the agent has no value of it that may be used now")]
    NotUsable,
    /// The agent refused the request.
    #[error("the agent refused the request (status {status})")]
    Refused {
        /// The answer's status.
        status: u16,
    },
    /// The agent's configuration does not name it.
    #[error("the agent's configuration does not have it")]
    NoSuch,
    /// What answers is no agent.
    #[error("what answers at {0} is no agent")]
    Foreign(SocketAddr),
}

impl EndpointError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NotLoopback(_) => {
                "listen on 127.0.0.1:2773, or set allow_remote in [endpoint] and see to it who reaches it".into()
            }
            Self::Listen { .. } => "another agent may run already; listen in [endpoint] names another port".into(),
            Self::NotConfigured => "add [endpoint] to the configuration, or give --listen".into(),
            Self::Silent { .. } => "start it: countersign agent".into(),
            Self::NoToken { .. } => {
                "start it: countersign agent; runtime and token_file of the configuration must be the agent's".into()
            }
            Self::NotReady | Self::NotUsable => "the agent's log tells which item fails, and why".into(),
            Self::Refused { .. } => "token_file of the configuration must be the running agent's".into(),
            Self::NoSuch => "add the whole secret, or the role, to the items of the agent's configuration".into(),
            Self::Foreign(_) => "another program listens there: check listen in [endpoint]".into(),
        }
    }

    /// The exit code of the command.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Listen { .. } => 1,
            Self::NotLoopback(_) | Self::NotConfigured => 2,
            Self::Refused { .. } => 4,
            Self::NoSuch => 6,
            Self::Silent { .. } | Self::NoToken { .. } | Self::NotReady | Self::NotUsable => 7,
            Self::Foreign(_) => 8,
        }
    }
}
