use std::{collections::BTreeSet, time::Duration};

use proptest::prelude::*;
use tokio::time::Instant;

use super::{
    rounds::{Outcome, Rounds},
    schedule::Moment,
    simulation::{Chance, HOUR, MINUTE, SECOND},
};
use crate::config::RefreshSettings;

const INTERVAL: Duration = RefreshSettings::DEFAULT.interval;

/// Rounds whose outcomes are told by a function, over time.
struct Play {
    rounds: Rounds,
    chance: Chance,
    now: Moment,
    asked: Vec<(Duration, Vec<usize>)>,
    given_at: Vec<Option<Duration>>,
}

impl Play {
    fn of(wants: usize, seed: u64) -> Self {
        let now = Moment { wall: 1_000_000 * SECOND, steady: Instant::now() };
        let rounds = Rounds::new(RefreshSettings::DEFAULT, vec![now; wants], None);
        Self { rounds, chance: Chance::new(seed), now, asked: Vec::new(), given_at: vec![None; wants] }
    }

    fn elapsed(&self) -> Duration {
        self.now.wall - 1_000_000 * SECOND
    }

    /// Lets time pass until `end`. `broker` says what comes of a batch; `None`: it is given.
    fn until(&mut self, end: Duration, mut broker: impl FnMut(Duration, &[usize]) -> Option<Outcome>) {
        while self.elapsed() < end {
            let mut in_a_row = 0;
            while let Some(batch) = self.rounds.next(self.now) {
                in_a_row += 1;
                assert!(in_a_row <= 40, "a round ends");
                self.asked.push((self.elapsed(), batch.clone()));
                match broker(self.elapsed(), &batch) {
                    None => {
                        for want in &batch {
                            self.rounds.given(*want, self.now, INTERVAL);
                            self.given_at[*want] = Some(self.elapsed());
                        }
                    }
                    Some(outcome) => self.rounds.failed(&batch, outcome, self.now, &self.chance),
                }
            }
            let wait = self.rounds.wait(self.now).unwrap_or(HOUR).max(Duration::from_millis(1));
            self.now = self.now.after(wait.min(end.saturating_sub(self.elapsed()).max(Duration::from_millis(1))));
        }
    }

    fn requests(&self, from: Duration) -> usize {
        self.asked.iter().filter(|(at, _)| *at >= from).count()
    }
}

#[test]
fn everything_due_is_asked_for_together() {
    let mut play = Play::of(5, 1);
    play.until(HOUR, |_, _| None);
    assert!(play.asked.iter().all(|(_, batch)| batch.len() == 5));
    assert_eq!(play.asked.len(), 12);
}

#[test]
fn more_than_an_exchange_takes_is_asked_for_in_several() {
    let mut play = Play::of(20, 1);
    play.until(SECOND, |_, _| None);
    assert_eq!(play.asked.iter().map(|(_, batch)| batch.len()).collect::<Vec<_>>(), [16, 4]);
}

#[test]
fn what_is_denied_is_left_out_and_the_rest_is_asked_for_at_once() {
    let mut play = Play::of(4, 1);
    play.until(Duration::from_millis(1), |_, batch| batch.contains(&2).then_some(Outcome::OfWant(2)));
    let asked: Vec<_> = play.asked.iter().map(|(at, batch)| (*at, batch.clone())).collect();
    assert_eq!(asked, [(Duration::ZERO, vec![0, 1, 2, 3]), (Duration::ZERO, vec![0, 1, 3])]);
}

#[test]
fn from_the_second_time_on_one_want_finds_out_whether_the_broker_is_back() {
    let mut play = Play::of(3, 1);
    play.until(10 * MINUTE, |at, _| (at < 5 * MINUTE).then_some(Outcome::NoAnswer(None)));
    let sizes: Vec<usize> = play.asked.iter().map(|(_, batch)| batch.len()).collect();
    let outage = play.asked.iter().filter(|(at, _)| *at < 5 * MINUTE).count();
    assert!(outage <= 14 && sizes[..2] == [3, 3] && sizes[2..outage].iter().all(|size| *size == 1), "{sizes:?}");
    assert_eq!(sizes[outage..outage + 2], [1, 2], "then the others, at once and together");
}

#[test]
fn what_the_broker_asks_to_wait_is_waited_whatever_is_due() {
    for outcome in [Outcome::Throttled(Some(10 * MINUTE)), Outcome::NoAnswer(Some(10 * MINUTE))] {
        let mut play = Play::of(3, 1);
        play.until(HOUR, |_, _| Some(outcome));
        let times: Vec<Duration> = play.asked.iter().map(|(at, _)| *at).collect();
        assert!((4..=6).contains(&times.len()), "{times:?}");
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 10 * MINUTE), "{times:?}");
    }
}

proptest! {
    /// Some wants are denied, some make the broker fail, the broker is away at times.
    #[test]
    fn whatever_fails_the_others_are_given(
        wants in 1..=16_usize,
        denied in prop::collection::btree_set(0..16_usize, 0..4),
        poisoned in prop::collection::btree_set(0..16_usize, 0..4),
        away in 0..90_u32,
        seed: u64,
    ) {
        let mut play = Play::of(wants, seed);
        let bad: BTreeSet<usize> = denied.union(&poisoned).copied().collect();
        let broker = |batch: &[usize]| {
            if batch.iter().any(|want| poisoned.contains(want)) {
                return Some(Outcome::NoAnswer(None));
            }
            batch.iter().find(|want| denied.contains(want)).map(|want| Outcome::OfWant(*want))
        };
        let away = away * MINUTE;
        play.until(away, |_, _| Some(Outcome::NoAnswer(None)));
        let outage = play.asked.len();
        prop_assert!(outage <= 10 + usize::try_from(away.as_secs()).unwrap() / 100, "{outage} requests while it was away");
        // One bad want may be the one that finds out whether the broker is back, and then the next.
        let patience = u32::try_from(bad.len()).unwrap() + 2;
        play.until(away + patience * RefreshSettings::DEFAULT.max_backoff, |_, batch| broker(batch));
        for want in (0..wants).filter(|want| !bad.contains(want)) {
            prop_assert!(play.given_at[want].is_some_and(|at| at > away), "{want} was not given");
        }
        let recovery = play.requests(away);
        prop_assert!(recovery <= 6 + 10 * (bad.len() + 1) * 3, "{recovery} requests");

        // Then the good are given at every interval, in few requests.
        let settled = away + 2 * HOUR;
        play.until(settled, |_, batch| broker(batch));
        play.until(settled + 2 * HOUR, |_, batch| broker(batch));
        for want in (0..wants).filter(|want| !bad.contains(want)) {
            let last = play.given_at[want].unwrap();
            prop_assert!(settled + 2 * HOUR - last <= INTERVAL + MINUTE, "{want} was last given at {last:?}");
        }
        let requests = play.requests(settled);
        // Every interval the good together; the bad after 100 to 300 s each, and what that costs those asked for with them.
        prop_assert!(requests <= 2 * 24 + bad.len() * 2 * 72 + 4, "{requests} requests in two hours");
    }

    /// Any outcomes at all, at any times: no want is forgotten, and none asked for too often.
    #[test]
    fn no_want_is_forgotten(
        wants in 1..=16_usize,
        outcomes in prop::collection::vec((0..5_u8, 0..16_usize, 0..4000_u64), 1..200),
        seed: u64,
    ) {
        let mut play = Play::of(wants, seed);
        let mut outcomes = outcomes.into_iter();
        play.until(48 * HOUR, |_, batch| {
            let (kind, number, seconds) = outcomes.next()?;
            match kind {
                0 => Some(Outcome::OfWant(batch[number % batch.len()])),
                1 => Some(Outcome::Throttled(Some(Duration::from_secs(seconds)))),
                2 => Some(Outcome::NoAnswer(Some(Duration::from_secs(seconds)))),
                3 => Some(Outcome::NoAnswer(None)),
                _ => None,
            }
        });
        let used_up = outcomes.next().is_none();
        for want in 0..wants {
            let asked = play.asked.iter().rev().find(|(_, batch)| batch.contains(&want)).map(|(at, _)| *at);
            prop_assert!(asked.is_some_and(|at| at + HOUR + 10 * MINUTE >= play.elapsed()), "{want}: {asked:?}");
            prop_assert!(!used_up || play.given_at[want].is_some(), "{want}");
        }
        for (at, batch) in &play.asked {
            prop_assert!(!batch.is_empty() && batch.iter().collect::<BTreeSet<_>>().len() == batch.len(), "{at:?}");
        }
    }
}
