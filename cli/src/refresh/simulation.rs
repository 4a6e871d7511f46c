//! A broker, a clock and chance that tests choose. It runs in virtual time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use ports::Clock;
use protocol::{
    AccessToken, Answer, AwsCredentials, DenialCode, Grant, Random, Secret, SecretGrant, SecretValue, TokenType, Want,
};
use tokio::time::{Instant, sleep};

use super::{Exchange, Failure, Holdings, Refresher};
use crate::{
    Error,
    config::{Item, ItemName, Member, RefreshSettings, Source},
};

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3600);

/// When every simulation begins, Unix time in seconds.
const BEGIN: u64 = 1_800_000_000;

/// How long the broker takes for an answer.
const LATENCY: Duration = Duration::from_millis(80);

/// Numbers that look random, the same each time (SplitMix64).
#[derive(Debug)]
pub(super) struct Chance(AtomicU64);

impl Chance {
    pub(super) const fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }
}

impl Random for Chance {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let mut mixed = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Relaxed).wrapping_add(0x9e37_79b9_7f4a_7c15);
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let mixed = (mixed ^ (mixed >> 31)).to_be_bytes();
            chunk.copy_from_slice(&mixed[..chunk.len()]);
        }
    }
}

/// The machine's wall clock: the time that passes, what the machine slept, and by how much the clock is wrong.
#[derive(Clone, Debug)]
pub(super) struct WallClock {
    began: Instant,
    slept: Arc<AtomicU64>,
    wrong_by: Arc<AtomicI64>,
}

impl WallClock {
    fn new() -> Self {
        Self { began: Instant::now(), slept: Arc::default(), wrong_by: Arc::default() }
    }

    /// The time that it really is, Unix time in seconds.
    pub(super) fn truth(&self) -> u64 {
        BEGIN + self.slept.load(Relaxed) + self.began.elapsed().as_secs()
    }

    /// The steady clock stands still meanwhile.
    pub(super) fn sleep(&self, time: Duration) {
        self.slept.fetch_add(time.as_secs(), Relaxed);
    }

    pub(super) fn set_wrong_by(&self, seconds: i64) {
        self.wrong_by.store(seconds, Relaxed);
    }
}

impl Clock for WallClock {
    fn now(&self) -> Duration {
        let told = Duration::from_secs(self.truth().saturating_add_signed(self.wrong_by.load(Relaxed)));
        told + Duration::from_nanos(self.began.elapsed().subsec_nanos().into())
    }
}

/// A request that the broker saw.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) at: Duration,
    pub(super) wants: Vec<Want>,
    pub(super) is_given: bool,
}

/// What the broker does with a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mood {
    #[default]
    Gives,
    Throttles(Option<Duration>),
    Unavailable,
    Refuses,
    Hangs,
}

#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) mood: Mood,
    /// Secrets by name: the version, counted, and the value.
    pub(super) secrets: BTreeMap<String, (u32, String)>,
    pub(super) denied: BTreeSet<String>,
    /// Each request with one of these fails as a whole.
    pub(super) poisoned: BTreeSet<String>,
    pub(super) token_life: Duration,
    pub(super) newer_generation: bool,
    pub(super) follows: u32,
    pub(super) seen: Vec<Seen>,
    issued: u32,
}

/// The broker. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Broker {
    world: Arc<Mutex<World>>,
    clock: WallClock,
}

impl Broker {
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    pub(super) fn set(&self, mood: Mood) {
        self.world().mood = mood;
    }

    pub(super) fn rotate(&self, secret: &str) {
        let mut world = self.world();
        let (version, value) = world.secrets.get_mut(secret).unwrap();
        *version += 1;
        *value = format!(r#"{{"user":"u","password":"{secret} {version}"}}"#);
    }

    pub(super) fn requests(&self) -> usize {
        self.world().seen.len()
    }

    /// When requests came, since the begin.
    pub(super) fn times(&self) -> Vec<Duration> {
        self.world().seen.iter().map(|seen| seen.at).collect()
    }

    fn answer(&self, wants: &[Want]) -> Result<Answer, Failure> {
        let mut world = self.world();
        let unavailable = |retry_after| {
            let error = Error::Unavailable { status: 503, tries: 1 };
            Failure::Unavailable { error, retry_after }
        };
        match world.mood {
            Mood::Gives | Mood::Hangs => {}
            Mood::Throttles(retry_after) => {
                let error = Error::Unavailable { status: 429, tries: 1 };
                return Err(Failure::Throttled { error, retry_after });
            }
            Mood::Unavailable => return Err(unavailable(None)),
            Mood::Refuses => {
                let refused = Error::Refused { request_id: "id".into(), clock_difference: None };
                return Err(Failure::ForGood(refused));
            }
        }
        let name = |want: &Want| match want {
            Want::Secret { id, .. } => id.clone(),
            Want::Aws { role, .. } => role.clone(),
            Want::AccessToken {} => "token".to_owned(),
            Want::EnrollmentToken { .. } => unreachable!("no item is one"),
        };
        if wants.iter().any(|want| world.poisoned.contains(&name(want))) {
            return Err(unavailable(Some(SECOND)));
        }
        if let Some(want) = wants.iter().position(|want| world.denied.contains(&name(want))) {
            let error = Error::Denied { code: DenialCode::Denied, want: "it".into(), request_id: "id".into() };
            return Err(Failure::OfWant { want, error });
        }
        let now = self.clock.truth();
        let granted = wants.iter().map(|want| world.grant(want, now)).collect();
        Ok(Answer { granted, expires_at: None })
    }
}

impl World {
    fn grant(&mut self, want: &Want, now: u64) -> Grant {
        self.issued += 1;
        match want {
            Want::Secret { id, .. } => {
                let (version, value) = &self.secrets[id];
                Grant::Secret(SecretGrant {
                    id: id.clone(),
                    version_id: format!("{version:032}"),
                    version_stages: vec!["AWSCURRENT".into()],
                    value: SecretValue::Text(Secret::new(value.clone())),
                })
            }
            Want::Aws { role, seconds } => Grant::Aws(AwsCredentials {
                role: role.clone(),
                access_key_id: format!("AKIA{}", self.issued),
                secret_access_key: Secret::new("secret".into()),
                session_token: Secret::new("session".into()),
                expires_at: now + u64::from(seconds.unwrap_or(3600)),
            }),
            Want::AccessToken {} => Grant::AccessToken(AccessToken {
                access_token: Secret::new(format!("token {}", self.issued)),
                token_type: TokenType::Bearer,
                expires_at: now + self.token_life.as_secs(),
            }),
            Want::EnrollmentToken { .. } => unreachable!("no item is one"),
        }
    }
}

impl Exchange for Broker {
    async fn exchange(&self, wants: &[Want]) -> Result<Answer, Failure> {
        sleep(LATENCY / 2).await;
        let outcome = self.answer(wants);
        let at = self.clock.began.elapsed();
        self.world().seen.push(Seen { at, wants: wants.to_vec(), is_given: outcome.is_ok() });
        if self.world().mood == Mood::Hangs {
            sleep(1000 * HOUR).await;
        }
        sleep(LATENCY / 2).await;
        outcome
    }

    async fn follow_rotation(&self) -> Result<bool, Error> {
        let mut world = self.world();
        world.follows += 1;
        match world.mood {
            Mood::Gives => Ok(std::mem::take(&mut world.newer_generation)),
            Mood::Throttles(_) | Mood::Unavailable | Mood::Refuses | Mood::Hangs => Err(Error::TimedOut),
        }
    }
}

/// Items, the broker that gives them, and what refreshes them.
pub(super) struct Simulation {
    pub(super) clock: WallClock,
    pub(super) broker: Broker,
    pub(super) holdings: Holdings,
    pub(super) refresher: Option<Refresher<Broker>>,
}

pub(super) fn secret(name: &str, id: &str) -> Item {
    let source = Source::Secret { id: id.into(), version_id: None, version_stage: None, member: None };
    item(name, source)
}

pub(super) fn member(name: &str, id: &str, member: &str) -> Item {
    let source =
        Source::Secret { id: id.into(), version_id: None, version_stage: None, member: Some(Member::new(member)) };
    item(name, source)
}

pub(super) fn role(name: &str) -> Item {
    item(name, Source::Role { alias: name.into(), seconds: None })
}

pub(super) fn token() -> Item {
    item("token", Source::AccessToken)
}

fn item(name: &str, source: Source) -> Item {
    Item { name: self::name(name), source, variable: None, file: None, stdin: false, keep: 24 * HOUR, on_change: true }
}

pub(super) fn name(name: &str) -> ItemName {
    name.parse().unwrap()
}

impl Simulation {
    pub(super) fn new(items: Vec<Item>) -> Self {
        Self::with(items, RefreshSettings::DEFAULT, 1)
    }

    pub(super) fn with(items: Vec<Item>, settings: RefreshSettings, seed: u64) -> Self {
        let clock = WallClock::new();
        let mut world = World { token_life: 10 * MINUTE, ..World::default() };
        for item in &items {
            if let Source::Secret { id, .. } = &item.source {
                world.secrets.insert(id.clone(), (1, format!(r#"{{"user":"u","password":"{id} 1"}}"#)));
            }
        }
        let broker = Broker { world: Arc::new(Mutex::new(world)), clock: clock.clone() };
        let holdings = Holdings::new(items, Arc::new(clock.clone()));
        let random = Arc::new(Chance::new(seed));
        let refresher = Refresher::new(holdings.clone(), settings, broker.clone(), random);
        Self { clock, broker, holdings, refresher: Some(refresher) }
    }

    pub(super) async fn start(&mut self, within: Duration) -> Result<(), Error> {
        self.refresher.as_mut().unwrap().start(within).await
    }

    pub(super) fn refresher(&mut self) -> Refresher<Broker> {
        self.refresher.take().unwrap()
    }

    /// What is lent, as text.
    pub(super) fn lent(&self, item: &str) -> Option<String> {
        let value = self.holdings.value(&name(item))?;
        Some(String::from_utf8(value.expose().to_vec()).unwrap())
    }
}
