use protocol::Secret;

use crate::Fault;

/// A session of a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleSession {
    /// The role's ARN.
    pub role_arn: String,
    /// Shows up in the role's AWS CloudTrail: 2 to 64 of letters, digits and `+=,.@-_`.
    pub session_name: String,
    /// Lifetime in seconds, at least 900.
    pub seconds: u32,
    /// An IAM policy document that narrows what the role may do.
    pub policy: Option<String>,
}

/// Credentials of a role session.
#[derive(Clone, Debug)]
pub struct SessionCredentials {
    /// Access key id.
    pub access_key_id: String,
    /// Secret access key.
    pub secret_access_key: Secret<String>,
    /// Session token.
    pub session_token: Secret<String>,
    /// When they end, Unix time in seconds.
    pub expires_at: u64,
}

/// Opens role sessions (AWS STS `AssumeRole`).
pub trait AssumeRole: Send + Sync + 'static {
    /// Obtains credentials for a session.
    fn assume(&self, session: &RoleSession) -> impl Future<Output = Result<SessionCredentials, Fault>> + Send;
}
