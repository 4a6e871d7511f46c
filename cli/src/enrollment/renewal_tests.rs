//! The life of a certificate that is kept fresh, in virtual time.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use ports::Clock;
use protocol::Random;
use tokio::{
    sync::{Notify, mpsc},
    time::{Instant, sleep, timeout},
};

use crate::{
    Error,
    enrollment::{EnrollmentError, Renewable, Renewal, Validity},
    step_ca::StepCaError,
};

const BEGIN: u64 = 1_800_000_000;
const MINUTE: u64 = 60;
const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// The machine's wall clock: the time that passes, what the machine slept, and by how much the clock is wrong.
#[derive(Clone)]
struct WallClock {
    began: Instant,
    slept: Arc<AtomicU64>,
    wrong_by: Arc<AtomicI64>,
}

impl WallClock {
    fn truth(&self) -> u64 {
        BEGIN + self.slept.load(Relaxed) + self.began.elapsed().as_secs()
    }
}

impl Clock for WallClock {
    fn now(&self) -> Duration {
        Duration::from_secs(self.truth().saturating_add_signed(self.wrong_by.load(Relaxed)))
    }
}

/// The same random number each time: this share of 255.
struct Always(u8);

impl Random for Always {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(self.0);
    }
}

/// What the CA does with a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    Renews,
    Refuses,
    IsAway,
    /// As long as the certificate that asks has not ended.
    RenewsTheLiving,
}

struct World {
    mood: Mood,
    lifetime: u64,
    kept: Validity,
    /// When it was asked, in seconds since the beginning, really.
    asked: Vec<u64>,
}

#[derive(Clone)]
struct Kept {
    world: Rc<RefCell<World>>,
    clock: WallClock,
}

impl Renewable for Kept {
    fn validity(&self) -> Result<Validity, Error> {
        Ok(self.world.borrow().kept)
    }

    async fn renew(&self) -> Result<Validity, Error> {
        sleep(Duration::from_millis(100)).await;
        let now = self.clock.truth();
        let mut world = self.world.borrow_mut();
        world.asked.push(now - BEGIN);
        let has_ended = now > world.kept.until;
        match world.mood {
            Mood::Renews | Mood::RenewsTheLiving if !has_ended => {
                world.kept = Validity { from: now, until: now + world.lifetime };
                Ok(world.kept)
            }
            Mood::IsAway => Err(Error::TimedOut),
            Mood::Renews | Mood::RenewsTheLiving | Mood::Refuses => {
                Err(StepCaError::CertificateRefused { reason: "CertificateExpired".into() }.into())
            }
        }
    }
}

struct Life {
    kept: Kept,
    now: Notify,
    random: u8,
}

impl Life {
    fn of(lifetime: u64) -> Self {
        let clock = WallClock { began: Instant::now(), slept: Arc::default(), wrong_by: Arc::default() };
        let kept = Validity { from: BEGIN, until: BEGIN + lifetime };
        let world = Rc::new(RefCell::new(World { mood: Mood::Renews, lifetime, kept, asked: Vec::new() }));
        Self { kept: Kept { world, clock }, now: Notify::new(), random: 0 }
    }

    fn set(&self, mood: Mood) {
        self.kept.world.borrow_mut().mood = mood;
    }

    fn asked(&self) -> Vec<u64> {
        self.kept.world.borrow().asked.clone()
    }

    /// Lives for so long; why it ended, if it did.
    async fn live(&self, seconds: u64) -> Option<Error> {
        self.with(sleep(Duration::from_secs(seconds))).await
    }

    /// Lives until something else is done.
    async fn with(&self, until: impl Future<Output = ()>) -> Option<Error> {
        let renewal = Renewal::new(self.kept.clone(), Arc::new(self.kept.clock.clone()), Arc::new(Always(self.random)));
        let (sender, mut receiver) = mpsc::channel(1);
        tokio::select! {
            error = renewal.run(&self.now, &sender) => Some(error),
            () = async { while receiver.recv().await.is_some() {} } => None,
            () = until => None,
        }
    }
}

fn has_ended(error: Option<&Error>) -> bool {
    matches!(error, Some(Error::Enrollment(EnrollmentError::Ended(_))))
}

#[tokio::test(start_paused = true)]
async fn it_is_renewed_at_two_thirds_of_its_life_or_a_little_earlier() {
    let life = Life::of(DAY);
    assert!(life.live(3 * DAY).await.is_none());
    assert_eq!(life.asked(), [16 * HOUR, 32 * HOUR, 48 * HOUR, 64 * HOUR]);
    let early = Life { random: 255, ..Life::of(DAY) };
    assert!(early.live(DAY).await.is_none());
    let [asked] = early.asked()[..] else { panic!("{:?}", early.asked()) };
    assert!((16 * HOUR - DAY / 20..16 * HOUR - DAY / 21).contains(&asked), "{asked}");
}

#[tokio::test(start_paused = true)]
async fn a_ca_that_is_away_is_asked_until_the_end_less_and_less_often() {
    let life = Life::of(DAY);
    life.set(Mood::IsAway);
    assert!(has_ended(life.live(2 * DAY).await.as_ref()));
    let asked = life.asked();
    assert_eq!(asked[0], 16 * HOUR);
    assert!(asked.windows(2).all(|pair| pair[1] - pair[0] <= HOUR + 1), "{asked:?}");
    assert!(asked.len() < 120, "{asked:?}");
    let (last, before) = (asked[asked.len() - 1], asked[asked.len() - 2]);
    assert!(last > DAY && before <= DAY, "one try after the end: {asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_before_the_end_is_no_end() {
    let life = Life::of(DAY);
    life.set(Mood::Refuses);
    assert!(life.live(DAY - MINUTE).await.is_none());
    life.set(Mood::Renews);
    assert!(life.live(DAY).await.is_none(), "who comes back is asked again");
    let life = Life::of(DAY);
    life.set(Mood::IsAway);
    let back = async {
        sleep(Duration::from_secs(23 * HOUR)).await;
        life.set(Mood::Renews);
        sleep(Duration::from_secs(2 * DAY)).await;
    };
    assert!(life.with(back).await.is_none());
    assert!(life.kept.world.borrow().kept.until > BEGIN + 3 * DAY);
}

#[tokio::test(start_paused = true)]
async fn what_was_due_while_the_machine_slept_is_done_within_a_minute() {
    let life = Life::of(DAY);
    let nap = async {
        sleep(Duration::from_secs(HOUR)).await;
        life.kept.clock.slept.fetch_add(20 * HOUR, Relaxed);
        sleep(Duration::from_secs(2 * MINUTE)).await;
    };
    assert!(life.with(nap).await.is_none());
    let [asked] = life.asked()[..] else { panic!("{:?}", life.asked()) };
    assert!((21 * HOUR..=21 * HOUR + MINUTE).contains(&asked), "{asked}");
}

#[tokio::test(start_paused = true)]
async fn a_sleep_past_the_end_is_one_when_the_ca_says_so() {
    let life = Life::of(DAY);
    life.set(Mood::IsAway);
    let nap = async {
        sleep(Duration::from_secs(HOUR)).await;
        life.kept.clock.slept.fetch_add(2 * DAY, Relaxed);
        sleep(Duration::from_secs(10 * MINUTE)).await;
        life.set(Mood::RenewsTheLiving);
        sleep(Duration::from_secs(DAY)).await;
    };
    assert!(has_ended(life.with(nap).await.as_ref()));
    assert!(life.asked().len() > 3, "the network may come back later than the machine");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_wrong_ends_nothing() {
    for wrong_by in [i64::try_from(400 * DAY).unwrap(), -i64::try_from(400 * DAY).unwrap()] {
        let life = Life::of(DAY);
        let jump = async {
            sleep(Duration::from_secs(HOUR)).await;
            // What is beyond the CA's own certificate is not the CA's.
            life.set(Mood::IsAway);
            life.kept.clock.wrong_by.store(wrong_by, Relaxed);
            sleep(Duration::from_secs(HOUR)).await;
            life.kept.clock.wrong_by.store(0, Relaxed);
            life.set(Mood::Renews);
            sleep(Duration::from_secs(2 * DAY)).await;
        };
        assert!(life.with(jump).await.is_none(), "{wrong_by}");
        assert!(life.kept.world.borrow().kept.until > BEGIN + 2 * DAY, "{wrong_by}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_renewed_at_once_where_that_is_wanted() {
    let life = Life::of(DAY);
    let nudge = async {
        sleep(Duration::from_secs(HOUR)).await;
        life.now.notify_one();
        sleep(Duration::from_secs(1)).await;
    };
    assert!(life.with(nudge).await.is_none());
    assert_eq!(life.asked(), [HOUR]);
}

#[tokio::test(start_paused = true)]
async fn what_another_process_put_there_is_not_renewed_before_its_time() {
    let life = Life::of(DAY);
    let other = async {
        sleep(Duration::from_secs(10 * HOUR)).await;
        life.kept.world.borrow_mut().kept = Validity { from: BEGIN + 10 * HOUR, until: BEGIN + 34 * HOUR };
        sleep(Duration::from_secs(15 * HOUR)).await;
        assert_eq!(life.asked(), Vec::<u64>::new());
        sleep(Duration::from_secs(2 * HOUR)).await;
    };
    assert!(life.with(other).await.is_none());
    assert_eq!(life.asked(), [26 * HOUR]);
}

#[tokio::test(start_paused = true)]
async fn certificates_that_end_with_their_ca_are_not_asked_for_without_a_pause() {
    let life = Life::of(DAY);
    life.kept.world.borrow_mut().lifetime = 0;
    life.set(Mood::RenewsTheLiving);
    let _ = timeout(Duration::from_secs(20 * HOUR), life.live(20 * HOUR)).await;
    assert!(life.asked().len() < 100, "{}", life.asked().len());
}
