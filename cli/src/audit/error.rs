use ports::{Cause, Fault};

/// Why the audit log was not read.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// These AWS credentials may not read it.
    #[error("not permitted: logs:FilterLogEvents")]
    NotPermitted {
        /// What AWS says.
        #[source]
        source: Cause,
    },
    /// No function of the stack has a log here.
    #[error("there is no log of the stack {0}")]
    NoLog(String),
    /// CloudWatch Logs gave no answer.
    #[error("Amazon CloudWatch Logs does not answer")]
    Aws(#[source] Fault),
}

impl AuditError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NotPermitted { .. } => {
                "these AWS credentials need logs:FilterLogEvents on log-group:/aws/lambda/STACK-*".into()
            }
            Self::NoLog(_) => "check --stack, --function and the AWS region; deploy first".into(),
            Self::Aws(_) => {
                "check the AWS credentials, the region and the network, and ask for less with --since".into()
            }
        }
    }

    /// The exit code of the command.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::NotPermitted { .. } => 5,
            Self::NoLog(_) => 6,
            Self::Aws(_) => 7,
        }
    }
}
