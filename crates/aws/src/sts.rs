use std::sync::OnceLock;

use aws_sdk_sts::Client;
use ports::{AssumeRole, Fault, RoleSession, SessionCredentials};
use protocol::Secret;

use crate::{Connection, connection::fault};

/// AWS STS.
///
/// The client is made when it is first needed: few functions assume a role, and each client takes its share of a cold
/// start.
#[derive(Clone, Debug)]
pub struct Sts {
    connection: Connection,
    client: OnceLock<Client>,
}

impl Sts {
    /// A client.
    #[must_use]
    pub const fn new(connection: Connection) -> Self {
        Self { connection, client: OnceLock::new() }
    }
}

impl AssumeRole for Sts {
    /// `sts:AssumeRole`.
    async fn assume(&self, session: &RoleSession) -> Result<SessionCredentials, Fault> {
        let found = self
            .client
            .get_or_init(|| Client::new(&self.connection.0))
            .assume_role()
            .role_arn(&session.role_arn)
            .role_session_name(&session.session_name)
            .duration_seconds(i32::try_from(session.seconds).unwrap_or(i32::MAX))
            .set_policy(session.policy.clone())
            .send()
            .await
            .map_err(|error| fault(&error))?;
        let credentials = found.credentials.ok_or(Fault::Unusable("session without credentials"))?;
        Ok(SessionCredentials {
            access_key_id: credentials.access_key_id,
            secret_access_key: Secret::new(credentials.secret_access_key),
            session_token: Secret::new(credentials.session_token),
            expires_at: u64::try_from(credentials.expiration.secs())
                .map_err(|_| Fault::Unusable("session that ended before 1970"))?,
        })
    }
}
