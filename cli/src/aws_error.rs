use ports::{Cause, Fault};

/// Why a call of AWS by an operator's command brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum AwsError {
    /// AWS does not permit it to these credentials.
    #[error("not permitted: {action}")]
    NotPermitted {
        /// The action of IAM.
        action: &'static str,
        /// What AWS says.
        #[source]
        source: Cause,
    },
    /// AWS does not take what it was given.
    #[error("AWS refused {action}")]
    Refused {
        /// The action of IAM.
        action: &'static str,
        /// What AWS says.
        #[source]
        source: Cause,
    },
    /// AWS gave no answer that could be used.
    #[error("AWS does not answer {action}")]
    NoAnswer {
        /// The action of IAM.
        action: &'static str,
        /// Why not.
        #[source]
        source: Fault,
    },
}

impl AwsError {
    /// What this fault of the action is to its caller.
    pub(crate) fn of(action: &'static str, fault: Fault) -> Self {
        match fault {
            Fault::Forbidden(source) => Self::NotPermitted { action, source },
            Fault::Invalid(source) => Self::Refused { action, source },
            source @ (Fault::Missing
            | Fault::Conflict
            | Fault::Throttled(_)
            | Fault::Unavailable(_)
            | Fault::Unusable(_)) => Self::NoAnswer { action, source },
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NotPermitted { action, .. } => {
                format!("these AWS credentials need {action}; then repeat the command")
            }
            Self::Refused { .. } => "check what was given against what AWS says".into(),
            Self::NoAnswer { .. } => {
                "check the AWS credentials, the region and the network, and repeat the command".into()
            }
        }
    }

    /// The exit code of the command.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Refused { .. } => 4,
            Self::NotPermitted { .. } => 5,
            Self::NoAnswer { .. } => 7,
        }
    }
}
