//! Each port over memory, for tests and benches: the same contracts, with failure and delay at the push of a
//! [`FaultSwitch`].

mod ledger;
mod messages;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use protocol::{Manifest, Pool, Secret, SecretValue};

pub use self::{
    ledger::MemoryLedger,
    messages::{MemoryMail, MemorySms, MemoryWebhook, PostedWebhook, SentMail, SentSms},
};
use crate::{
    AppendSecret, AssumeRole, Clock, DeleteObject, ETag, Fault, FindSecret, InvokeFunction, Invoked, ListObjects,
    Listed, LogLine, LogPage, LogQuery, Object, Precondition, PublishMaterial, ReadLogs, ReadObject, ReadParameter,
    ReadSecret, RoleSession, SecretVersion, SessionCredentials, Stage, VersionSelector, WriteObject,
};

/// How a port misbehaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Failing {
    /// Not at all.
    #[default]
    No,
    /// The service answers with an error.
    Unavailable,
    /// The service asks for fewer requests.
    Throttled,
    /// The role does not allow the call.
    Forbidden,
    /// The service takes this long.
    Slow(Duration),
}

/// Decides how a port misbehaves; clones share the setting.
#[derive(Clone, Debug, Default)]
pub struct FaultSwitch(Arc<Mutex<Failing>>);

impl FaultSwitch {
    /// Sets what happens from now on.
    pub fn set(&self, failing: Failing) {
        *lock(&self.0) = failing;
    }

    /// Misbehaves as it is set.
    ///
    /// # Errors
    /// The fault that is set.
    pub async fn pass(&self) -> Result<(), Fault> {
        let failing = *lock(&self.0);
        match failing {
            Failing::No => Ok(()),
            Failing::Unavailable => Err(Fault::Unavailable("switched off".into())),
            Failing::Throttled => Err(Fault::Throttled("switched off".into())),
            Failing::Forbidden => Err(Fault::Forbidden("switched off".into())),
            Failing::Slow(delay) => {
                tokio::time::sleep(delay).await;
                Ok(())
            }
        }
    }
}

/// A clock that a test turns; clones share the time.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    /// A clock that shows this Unix time, in seconds.
    #[must_use]
    pub fn new(unix_seconds: u64) -> Self {
        Self(Arc::new(AtomicU64::new(unix_seconds * 1_000)))
    }

    /// Turns the clock on.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

/// A bucket in memory; clones share it.
#[derive(Clone, Debug, Default)]
pub struct MemoryObjects {
    objects: Arc<Mutex<BTreeMap<String, Object>>>,
    reads: Arc<AtomicU64>,
    writes: Arc<AtomicU64>,
    /// How it misbehaves.
    pub switch: FaultSwitch,
}

impl MemoryObjects {
    /// Puts an object without a precondition.
    pub fn put(&self, key: &str, bytes: impl Into<Vec<u8>>) {
        let etag = ETag(format!("\"{}\"", self.writes.fetch_add(1, Ordering::Relaxed)));
        lock(&self.objects).insert(key.to_owned(), Object { bytes: Secret::new(bytes.into()), etag });
    }

    /// How often an object was read.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// Takes an object away, whatever the switch says.
    pub fn remove(&self, key: &str) {
        lock(&self.objects).remove(key);
    }

    /// The bytes under a key.
    #[must_use]
    pub fn peek(&self, key: &str) -> Option<Vec<u8>> {
        lock(&self.objects).get(key).map(|object| object.bytes.expose().clone())
    }

    /// Every key.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        lock(&self.objects).keys().cloned().collect()
    }
}

impl ReadObject for MemoryObjects {
    async fn read(&self, key: &str, known: Option<&ETag>, limit: usize) -> Result<Option<Object>, Fault> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.switch.pass().await?;
        let object = lock(&self.objects).get(key).cloned().ok_or(Fault::Missing)?;
        if object.bytes.expose().len() > limit {
            return Err(Fault::Unusable("object is too large"));
        }
        Ok((known != Some(&object.etag)).then_some(object))
    }
}

impl ListObjects for MemoryObjects {
    async fn list(&self, prefix: &str) -> Result<Vec<Listed>, Fault> {
        self.switch.pass().await?;
        Ok(lock(&self.objects)
            .iter()
            .filter(|(key, _)| key.starts_with(prefix))
            .map(|(key, object)| Listed { key: key.clone(), etag: object.etag.clone() })
            .collect())
    }
}

impl WriteObject for MemoryObjects {
    async fn write(
        &self,
        key: &str,
        bytes: Vec<u8>,
        _content_type: &'static str,
        precondition: Precondition,
    ) -> Result<(), Fault> {
        self.switch.pass().await?;
        let found = lock(&self.objects).get(key).map(|object| object.etag.clone());
        match (precondition, found) {
            (Precondition::Absent, None) => {}
            (Precondition::Unchanged(expected), Some(found)) if expected == found => {}
            (Precondition::None, _) => {}
            (Precondition::Absent | Precondition::Unchanged(_), _) => return Err(Fault::Conflict),
        }
        self.put(key, bytes);
        Ok(())
    }
}

impl DeleteObject for MemoryObjects {
    async fn delete(&self, key: &str) -> Result<(), Fault> {
        self.switch.pass().await?;
        lock(&self.objects).remove(key);
        Ok(())
    }
}

type Version = (String, SecretValue, u64);

/// Secrets in memory; clones share them.
#[derive(Clone, Debug, Default)]
pub struct MemorySecrets {
    /// Versions in the order of their writing; the last one is current, the one before it previous.
    secrets: Arc<Mutex<BTreeMap<String, Vec<Version>>>>,
    /// The time at which versions are written from now on, Unix time in seconds.
    pub unix_seconds: Arc<AtomicU64>,
    /// How it misbehaves.
    pub switch: FaultSwitch,
}

impl MemorySecrets {
    /// Adds a version and returns its id.
    pub fn put(&self, name: &str, value: SecretValue) -> String {
        let mut secrets = lock(&self.secrets);
        let versions = secrets.entry(name.to_owned()).or_default();
        let id = format!("{:032}", versions.len() + 1);
        versions.push((id.clone(), value, self.unix_seconds.load(Ordering::Relaxed)));
        id
    }

    /// Makes a secret without a value, where there is none of this name.
    pub fn create(&self, name: &str) {
        lock(&self.secrets).entry(name.to_owned()).or_default();
    }
}

impl ReadSecret for MemorySecrets {
    async fn read(&self, name: &str, version: VersionSelector<'_>) -> Result<SecretVersion, Fault> {
        self.switch.pass().await?;
        let secrets = lock(&self.secrets);
        let versions = secrets.get(name).ok_or(Fault::Missing)?;
        let stages = |index: usize| match versions.len() - index {
            1 => vec![Stage::Current.label().to_owned()],
            2 => vec![Stage::Previous.label().to_owned()],
            _ => vec![],
        };
        let stage = match version {
            VersionSelector { id: None, stage: None } => Some(Stage::Current.label()),
            VersionSelector { stage, .. } => stage,
        };
        let (index, (id, value, created_at)) = versions
            .iter()
            .enumerate()
            .find(|(index, (id, _, _))| {
                version.id.is_none_or(|wanted| wanted == id)
                    && stage.is_none_or(|wanted| stages(*index).iter().any(|stage| stage == wanted))
            })
            .ok_or(Fault::Missing)?;
        Ok(SecretVersion {
            version_id: id.clone(),
            version_stages: stages(index),
            created_at: *created_at,
            value: value.clone(),
        })
    }
}

impl FindSecret for MemorySecrets {
    async fn exists(&self, name: &str) -> Result<bool, Fault> {
        self.switch.pass().await?;
        Ok(lock(&self.secrets).contains_key(name))
    }
}

impl AppendSecret for MemorySecrets {
    async fn append(&self, name: &str, value: &Secret<String>, token: &str) -> Result<(), Fault> {
        self.switch.pass().await?;
        let mut secrets = lock(&self.secrets);
        let versions = secrets.entry(name.to_owned()).or_default();
        if versions.iter().any(|(id, _, _)| id == token) {
            return Err(Fault::Conflict);
        }
        versions.push((token.to_owned(), SecretValue::Text(value.clone()), self.unix_seconds.load(Ordering::Relaxed)));
        Ok(())
    }
}

/// Roles in memory: every session is granted, and remembered; clones share them.
#[derive(Clone, Debug, Default)]
pub struct MemoryRoles {
    sessions: Arc<Mutex<Vec<RoleSession>>>,
    /// How it misbehaves.
    pub switch: FaultSwitch,
}

/// When the credentials of [`MemoryRoles`] end, Unix time in seconds.
pub const MEMORY_CREDENTIALS_END: u64 = 4_102_444_800;

impl MemoryRoles {
    /// Every session that was opened.
    #[must_use]
    pub fn sessions(&self) -> Vec<RoleSession> {
        lock(&self.sessions).clone()
    }
}

impl AssumeRole for MemoryRoles {
    async fn assume(&self, session: &RoleSession) -> Result<SessionCredentials, Fault> {
        self.switch.pass().await?;
        lock(&self.sessions).push(session.clone());
        Ok(SessionCredentials {
            access_key_id: "ASIAEXAMPLE".into(),
            secret_access_key: Secret::new("example secret access key".into()),
            session_token: Secret::new("example session token".into()),
            expires_at: MEMORY_CREDENTIALS_END,
        })
    }
}

/// An invocation of a [`MemoryFunction`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// The name that it was invoked by.
    pub name: String,
    /// The event.
    pub event: Vec<u8>,
}

/// A function in memory: it ends in one way, and remembers its invocations; clones share them.
#[derive(Clone, Debug)]
pub struct MemoryFunction {
    ends: Invoked,
    invocations: Arc<Mutex<Vec<Invocation>>>,
    /// How it misbehaves.
    pub switch: FaultSwitch,
}

impl MemoryFunction {
    /// A function that ends so.
    #[must_use]
    pub fn new(ends: Invoked) -> Self {
        Self { ends, invocations: Arc::default(), switch: FaultSwitch::default() }
    }

    /// How often and with what it was invoked.
    #[must_use]
    pub fn invocations(&self) -> Vec<Invocation> {
        lock(&self.invocations).clone()
    }
}

impl InvokeFunction for MemoryFunction {
    async fn invoke(&self, name: &str, event: Vec<u8>) -> Result<Invoked, Fault> {
        self.switch.pass().await?;
        lock(&self.invocations).push(Invocation { name: name.to_owned(), event });
        Ok(self.ends.clone())
    }
}

/// Log groups in memory; clones share them.
#[derive(Clone, Debug, Default)]
pub struct MemoryLogs {
    groups: Arc<Mutex<BTreeMap<String, Vec<LogLine>>>>,
    /// How it misbehaves.
    pub switch: FaultSwitch,
}

/// How many lines a page of [`MemoryLogs`] looks at.
pub const MEMORY_LOG_PAGE: usize = 2;

impl MemoryLogs {
    /// Adds a line to a group, at this Unix time in milliseconds.
    pub fn put(&self, group: &str, time: u64, text: &str) {
        let mut groups = lock(&self.groups);
        let lines = groups.entry(group.to_owned()).or_default();
        let place = lines.partition_point(|line| line.time <= time);
        lines.insert(place, LogLine { time, text: text.to_owned() });
    }
}

impl ReadLogs for MemoryLogs {
    async fn page(&self, query: LogQuery<'_>, next: Option<&str>) -> Result<LogPage, Fault> {
        self.switch.pass().await?;
        let groups = lock(&self.groups);
        let lines = groups.get(query.group).ok_or(Fault::Missing)?;
        let from = next.and_then(|next| next.parse().ok()).unwrap_or(0);
        let until = lines.len().min(from + MEMORY_LOG_PAGE);
        let is_asked = |line: &&LogLine| {
            line.text.contains(query.word)
                && query.from.is_none_or(|from| line.time >= from)
                && query.until.is_none_or(|until| line.time <= until)
        };
        Ok(LogPage {
            lines: lines[from..until].iter().filter(is_asked).cloned().collect(),
            next: (until < lines.len()).then(|| until.to_string()),
        })
    }
}

/// Parameters in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryParameters(pub BTreeMap<String, String>);

impl ReadParameter for MemoryParameters {
    async fn read(&self, name: &str) -> Result<String, Fault> {
        self.0.get(name).cloned().ok_or(Fault::Missing)
    }
}

/// A registry in memory: what was published, by package and token; clones share it.
#[derive(Clone, Debug, Default)]
pub struct MemoryRegistry {
    published: Arc<Mutex<Vec<(String, String, Manifest)>>>,
    /// How it misbehaves.
    pub switch: FaultSwitch,
}

impl MemoryRegistry {
    /// Every package that was published, with the token and the manifest.
    #[must_use]
    pub fn published(&self) -> Vec<(String, String, Manifest)> {
        lock(&self.published).clone()
    }
}

impl PublishMaterial for MemoryRegistry {
    async fn publish(
        &self,
        package: &str,
        token: Secret<String>,
        manifest: &Manifest,
        pool: &Pool,
    ) -> Result<String, Fault> {
        self.switch.pass().await?;
        if !manifest.pool.describes(pool) {
            return Err(Fault::Unusable("pool is not the one that the manifest describes"));
        }
        let mut published = lock(&self.published);
        if published.last().is_none_or(|(_, _, last)| last != manifest) {
            published.push((package.to_owned(), token.expose().clone(), manifest.clone()));
        }
        Ok(published.len().to_string())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
