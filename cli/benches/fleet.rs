//! A fleet of 1,000 clients that start at once, at a gateway that admits a number of requests a second: how long until the last
//! has its secrets, and what that costs in requests, beside the same fleet with a fixed retry after one second. Then the same
//! fleet over six hours.
//!
//! The clients are the real ones, `Refresher::start` and its upkeep, in virtual time. The gateway is a bucket of tokens as AWS
//! API Gateway's: it fills at the rate up to the burst, and a request that finds none is answered 429. It prints the same
//! numbers every time.
#![allow(missing_docs, clippy::cast_precision_loss, clippy::panic, clippy::print_stdout, clippy::unwrap_used)]

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use countersign::{
    Answer, AwsCredentials, Error, Grant, Secret, SecretGrant, SecretValue, Want,
    config::{Item, RefreshSettings, Source},
    refresh::{Event, Exchange, Failure, Holdings, Refresher},
};
use ports::Clock;
use protocol::Random;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep},
};

const CLIENTS: u64 = 1000;
const SECOND: Duration = Duration::from_secs(1);

/// What the gateway answers where it does not say when to come again, and where it does.
const RETRY_AFTER: [Option<Duration>; 2] = [None, Some(Duration::from_secs(5))];

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    println!("{CLIENTS} clients at once, two secrets each; beside them with a fixed retry after 1 s (naive)\n");
    println!(
        "{:>5} {:>6} {:>6} {:>6}  {:>7} {:>6} {:>9} {:>7} {:>8}  {:>7} {:>9} {:>7}",
        "rate",
        "splay",
        "retry-",
        "ideal",
        "last",
        "sent",
        "sent per",
        "most a",
        "admitted",
        "naive:",
        "sent per",
        "most a"
    );
    println!(
        "{:>5} {:>6} {:>6} {:>6}  {:>7} {:>6} {:>9} {:>7} {:>8}  {:>7} {:>9} {:>7}",
        "1/s", "s", "after", "s", "s", "", "client", "second", "a second", "last s", "client", "second"
    );
    for rate in [25, 50, 100, 200] {
        let ideal = CLIENTS as f64 / f64::from(rate);
        for splay in [0.0, ideal] {
            for retry_after in RETRY_AFTER {
                let splay = Duration::from_secs_f64(splay);
                let ours = runtime.block_on(storm(rate, splay, retry_after, Kind::Ours));
                let naive = runtime.block_on(storm(rate, splay, retry_after, Kind::Naive));
                println!(
                    "{rate:>5} {:>6.0} {:>6} {ideal:>6.0}  {:>7.1} {:>6} {:>9.2} {:>7} {:>8}  {:>7.1} {:>9.2} {:>7}",
                    splay.as_secs_f64(),
                    retry_after.map_or("-".to_owned(), |wait| format!("{} s", wait.as_secs())),
                    ours.last.as_secs_f64(),
                    ours.sent,
                    ours.sent as f64 / CLIENTS as f64,
                    ours.most_sent,
                    ours.most_admitted,
                    naive.last.as_secs_f64(),
                    naive.sent as f64 / CLIENTS as f64,
                    naive.most_sent,
                );
            }
        }
    }
    println!("\nThe same fleet with a role besides, started at once at 200 a second, over six hours");
    println!("{:>6} {:>12} {:>12} {:>10}", "hour", "mean, 1/s", "most, 1/s", "throttled");
    for (hour, load) in runtime.block_on(steady()).into_iter().enumerate() {
        println!("{:>6} {:>12.2} {:>12} {:>10}", hour + 1, load.mean, load.most, load.throttled);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ours,
    Naive,
}

/// What a storm was like.
struct Storm {
    last: Duration,
    sent: usize,
    most_sent: usize,
    most_admitted: usize,
}

async fn storm(rate: u32, splay: Duration, retry_after: Option<Duration>, kind: Kind) -> Storm {
    let gateway = Arc::new(Gateway::new(rate, retry_after));
    let began = Instant::now();
    let mut fleet = JoinSet::new();
    for client in 0..CLIENTS {
        let gateway = Connection { gateway: Arc::clone(&gateway), chance: Chance::new(client) };
        fleet.spawn(async move {
            match kind {
                Kind::Ours => {
                    let settings = RefreshSettings { splay, ..RefreshSettings::DEFAULT };
                    let mut refresher = refresher(secrets(), settings, gateway, client);
                    refresher.start(Duration::from_secs(600)).await.unwrap();
                }
                Kind::Naive => {
                    sleep(gateway.chance.share(splay)).await;
                    let wants: Vec<Want> = secrets().iter().map(|item| item.source.want()).collect();
                    while gateway.exchange(&wants).await.is_err() {
                        sleep(SECOND).await;
                    }
                }
            }
            began.elapsed()
        });
    }
    let last = fleet.join_all().await.into_iter().max().unwrap();
    let (sent, admitted) = gateway.times();
    let most_admitted = most_in_a_second(&admitted);
    assert!(most_admitted <= (gateway.rate + gateway.burst) as usize, "the gateway admits its rate and burst");
    Storm { last, sent: sent.len(), most_sent: most_in_a_second(&sent), most_admitted }
}

/// The load of one hour.
struct Load {
    mean: f64,
    most: usize,
    throttled: usize,
}

async fn steady() -> Vec<Load> {
    const HOUR: Duration = Duration::from_secs(3600);
    let gateway = Arc::new(Gateway::new(200, None));
    let mut fleet: JoinSet<mpsc::Receiver<Event>> = JoinSet::new();
    for client in 0..CLIENTS {
        let gateway = Connection { gateway: Arc::clone(&gateway), chance: Chance::new(client) };
        fleet.spawn(async move {
            let mut items = secrets();
            items.push(item("nightly", Source::Role { alias: "nightly".into(), seconds: None }));
            let mut refresher = refresher(items, RefreshSettings::DEFAULT, gateway, client);
            refresher.start(Duration::from_secs(600)).await.unwrap();
            refresher.spawn().0
        });
    }
    let _events = fleet.join_all().await;
    let started = gateway.began.elapsed();
    sleep(6 * HOUR).await;
    let (sent, admitted) = gateway.times();
    let of = |times: &[Duration], hour: u32| -> Vec<Duration> {
        let hour = started + hour * HOUR..started + (hour + 1) * HOUR;
        times.iter().copied().filter(|time| hour.contains(time)).collect()
    };
    let load = |hour| {
        let (sent, admitted) = (of(&sent, hour), of(&admitted, hour));
        let mean = sent.len() as f64 / HOUR.as_secs_f64();
        Load { mean, most: most_in_a_second(&sent), throttled: sent.len() - admitted.len() }
    };
    (0..6).map(load).collect()
}

/// The most that came within one second, whenever it begins.
fn most_in_a_second(times: &[Duration]) -> usize {
    let mut first = 0;
    let within = times.iter().enumerate().map(|(last, time)| {
        while times[first] + SECOND <= *time {
            first += 1;
        }
        last - first + 1
    });
    within.max().unwrap_or_default()
}

fn secrets() -> Vec<Item> {
    ["app/db", "app/mail"]
        .map(|id| {
            let source = Source::Secret { id: id.into(), version_id: None, version_stage: None, member: None };
            item(&id.replace('/', "-"), source)
        })
        .into()
}

fn item(name: &str, source: Source) -> Item {
    let keep = Duration::from_secs(86_400);
    Item { name: name.parse().unwrap(), source, variable: None, file: None, stdin: false, keep, on_change: true }
}

fn refresher(items: Vec<Item>, settings: RefreshSettings, gateway: Connection, client: u64) -> Refresher<Connection> {
    let holdings = Holdings::new(items, Arc::new(VirtualClock(gateway.gateway.began)));
    Refresher::new(holdings, settings, gateway, Arc::new(Chance::new(client + CLIENTS)))
}

/// A bucket of tokens, and what went through it.
struct Gateway {
    rate: u32,
    burst: u32,
    retry_after: Option<Duration>,
    began: Instant,
    bucket: Mutex<Bucket>,
}

struct Bucket {
    tokens: f64,
    filled: Instant,
    sent: Vec<Duration>,
    admitted: Vec<Duration>,
}

impl Gateway {
    /// The burst is twice the rate, as `THROTTLE_BURST` is of `THROTTLE_RATE` unless a deployment says otherwise.
    fn new(rate: u32, retry_after: Option<Duration>) -> Self {
        let (burst, began) = (2 * rate, Instant::now());
        let bucket = Bucket { tokens: burst.into(), filled: began, sent: Vec::new(), admitted: Vec::new() };
        Self { rate, burst, retry_after, began, bucket: Mutex::new(bucket) }
    }

    fn admits(&self) -> bool {
        let mut bucket = self.bucket.lock().unwrap();
        let (now, at) = (Instant::now(), self.began.elapsed());
        let filled = bucket.tokens + (now - bucket.filled).as_secs_f64() * f64::from(self.rate);
        bucket.tokens = filled.min(self.burst.into());
        bucket.filled = now;
        bucket.sent.push(at);
        let admits = bucket.tokens >= 1.0;
        if admits {
            bucket.tokens -= 1.0;
            bucket.admitted.push(at);
        }
        admits
    }

    /// When requests came, and when those came that were admitted.
    fn times(&self) -> (Vec<Duration>, Vec<Duration>) {
        let bucket = self.bucket.lock().unwrap();
        (bucket.sent.clone(), bucket.admitted.clone())
    }
}

/// A client's way to the broker behind the gateway, there and back 50 to 100 ms.
struct Connection {
    gateway: Arc<Gateway>,
    chance: Chance,
}

impl Connection {
    async fn travel(&self) {
        let half = Duration::from_millis(25);
        sleep(half + self.chance.share(half)).await;
    }
}

impl Exchange for Connection {
    async fn exchange(&self, wants: &[Want]) -> Result<Answer, Failure> {
        self.travel().await;
        let admitted = self.gateway.admits();
        self.travel().await;
        if !admitted {
            let error = Error::Unavailable { status: 429, tries: 1 };
            return Err(Failure::Throttled { error, retry_after: self.gateway.retry_after });
        }
        let now = VirtualClock(self.gateway.began).unix_seconds();
        Ok(Answer { granted: wants.iter().map(|want| grant(want, now)).collect(), expires_at: None })
    }

    async fn follow_rotation(&self) -> Result<bool, Error> {
        self.travel().await;
        self.gateway.admits();
        self.travel().await;
        Ok(false)
    }
}

fn grant(want: &Want, now: u64) -> Grant {
    match want {
        Want::Secret { id, .. } => Grant::Secret(SecretGrant {
            id: id.clone(),
            version_id: "1".into(),
            version_stages: Vec::new(),
            value: SecretValue::Text(Secret::new("value".into())),
        }),
        Want::Aws { role, .. } => Grant::Aws(AwsCredentials {
            role: role.clone(),
            access_key_id: "AKIA".into(),
            secret_access_key: Secret::new("secret".into()),
            session_token: Secret::new("session".into()),
            expires_at: now + 3600,
        }),
        Want::AccessToken {} | Want::EnrollmentToken { .. } => panic!("nobody asks for one"),
    }
}

struct VirtualClock(Instant);

impl Clock for VirtualClock {
    fn now(&self) -> Duration {
        Duration::from_secs(1_800_000_000) + self.0.elapsed()
    }
}

/// Numbers that look random, the same each time (SplitMix64).
struct Chance(AtomicU64);

impl Chance {
    fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed.wrapping_mul(0x2545_f491_4f6c_dd1d)))
    }

    fn share(&self, bound: Duration) -> Duration {
        let mut bytes = [0; 4];
        self.fill(&mut bytes);
        bound.mul_f64(f64::from(u32::from_be_bytes(bytes)) / 2_f64.powi(32))
    }
}

impl Random for Chance {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let mut mixed = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Relaxed).wrapping_add(0x9e37_79b9_7f4a_7c15);
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            chunk.copy_from_slice(&(mixed ^ (mixed >> 31)).to_be_bytes()[..chunk.len()]);
        }
    }
}
