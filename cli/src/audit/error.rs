use crate::AwsError;

/// Why the audit log was not read.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// No function of the stack has a log here.
    #[error("there is no log of the stack {0}")]
    NoLog(String),
    /// A call of AWS brought nothing.
    #[error(transparent)]
    Aws(#[from] AwsError),
}

impl AuditError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NoLog(_) => "check --stack, --function and the AWS region; deploy first".into(),
            Self::Aws(AwsError::NotPermitted { action, .. }) => {
                format!("these AWS credentials need {action} on log-group:/aws/lambda/STACK-*")
            }
            Self::Aws(AwsError::NoAnswer { .. }) => {
                "check the AWS credentials, the region and the network, and ask for less with --since".into()
            }
            Self::Aws(error) => error.hint(),
        }
    }

    /// The exit code of the command.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::NoLog(_) => 6,
            Self::Aws(error) => error.exit_code(),
        }
    }
}
