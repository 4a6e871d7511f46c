use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ports::{AssumeRole, Clock as _, Fault, RoleSession, SessionCredentials, SystemClock};
use protocol::Secret;

/// AWS STS: every session is granted, with another access key each time; clones share the lifetime.
#[derive(Clone, Default)]
pub struct Roles {
    sessions: Arc<AtomicU64>,
    lifetime: Arc<AtomicU64>,
}

impl Roles {
    /// From now on credentials live this long, whatever is asked for.
    pub fn live(&self, lifetime: Duration) {
        self.lifetime.store(lifetime.as_secs(), Ordering::Relaxed);
    }
}

impl AssumeRole for Roles {
    async fn assume(&self, session: &RoleSession) -> Result<SessionCredentials, Fault> {
        let count = self.sessions.fetch_add(1, Ordering::Relaxed) + 1;
        let lifetime = match self.lifetime.load(Ordering::Relaxed) {
            0 => u64::from(session.seconds),
            told => told,
        };
        Ok(SessionCredentials {
            access_key_id: format!("ASIAEXAMPLE{count}"),
            secret_access_key: Secret::new("example/secret/access/key".into()),
            session_token: Secret::new("example/session/token".into()),
            expires_at: SystemClock.unix_seconds() + lifetime,
        })
    }
}
