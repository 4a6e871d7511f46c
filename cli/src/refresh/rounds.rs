//! What is asked for when, and what together. It sends nothing: the time, chance and each outcome come from outside.

use std::time::Duration;

use protocol::{MAX_WANTS, Random};
use tokio::time::Instant;

use super::schedule::{Moment, backoff, patience};
use crate::config::RefreshSettings;

/// From this many failures in a row on, of whatever was asked for, one want at a time finds out whether the broker is back.
const OUTAGE: u32 = 2;

/// So many failures of single wants in a row end the round of a broker that had answered in it.
const GONE_AGAIN: u32 = 2;

/// The wants, by their numbers, and when each is due.
///
/// A **round** asks for everything that is due, together. Where the broker denies one want, the rest is asked for again at once
/// without it. Where it cannot answer, all of the round back off together; from the second time in a row one want is asked for
/// alone. If it is given, the broker is there, so the others are asked for in the same round: together, and where that
/// fails, each alone. What fails alone there is a **suspect**: it is asked for alone from then on, at its own times, until it is
/// given. So one want that makes the broker fail touches no other, and a broker that is gone gets one request at a time.
#[derive(Debug)]
pub(super) struct Rounds {
    settings: RefreshSettings,
    wants: Vec<Tracked>,
    /// The broker asked to be left alone until then.
    quiet_until: Option<Moment>,
    /// How often it asked for that in a row.
    throttled: u32,
    /// How often in a row it did not answer.
    outage: u32,
    round: Option<Round>,
    /// The longest wait that is obeyed.
    patience: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Tracked {
    due: Moment,
    /// When it was last asked for, by the steady clock alone: clocks that are set make no storm.
    tried: Option<Instant>,
    failures: u32,
    is_suspect: bool,
}

#[derive(Debug)]
struct Round {
    left: Vec<usize>,
    /// The broker answered in this round.
    is_proven: bool,
    /// What is left is asked for one by one.
    is_split: bool,
    failed_alone: u32,
}

/// How asking for a batch failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// One want is not given.
    OfWant(usize),
    /// The broker wants to be left alone.
    Throttled(Option<Duration>),
    /// It did not answer, or not as a broker does.
    NoAnswer(Option<Duration>),
}

impl Rounds {
    /// So many wants, each due at its time. `tried`: when they were asked for before.
    pub(super) fn new(
        settings: RefreshSettings,
        due: impl IntoIterator<Item = Moment>,
        tried: Option<Instant>,
    ) -> Self {
        let tracked = |due| Tracked { due, tried, failures: 0, is_suspect: false };
        let wants = due.into_iter().map(tracked).collect();
        let patience = patience(&settings, None);
        Self { settings, wants, quiet_until: None, throttled: 0, outage: 0, round: None, patience }
    }

    /// Says how long it takes until the first of what is held ends: nobody can ask for a wait that leaves no time for it.
    pub(super) fn ends_in(&mut self, left: Option<Duration>) {
        self.patience = patience(&self.settings, left);
    }

    /// When a want is due next.
    pub(super) fn due(&self, want: usize) -> Moment {
        self.wants[want].due
    }

    /// How long until something is due.
    pub(super) fn wait(&self, now: Moment) -> Option<Duration> {
        let quiet = self.quiet_until.map_or(Duration::ZERO, |until| until.wait(now));
        self.wants.iter().map(|want| want.due.wait(now).max(quiet)).min()
    }

    /// What is to be asked for now, together; `None` where the round is over and nothing is due.
    pub(super) fn next(&mut self, now: Moment) -> Option<Vec<usize>> {
        if self.round.is_none() {
            let left = self.due_together(now);
            self.round = Some(Round { left, is_proven: false, is_split: false, failed_alone: 0 });
        }
        let wants = &mut self.wants;
        let round = self.round.as_mut().filter(|round| !round.left.is_empty());
        let Some(round) = round else {
            self.round = None;
            return None;
        };
        let is_single = round.is_split || (self.outage >= OUTAGE && !round.is_proven);
        let together: Vec<usize> = round.left.iter().copied().filter(|want| !wants[*want].is_suspect).collect();
        let batch = match together.first().or(round.left.first()) {
            Some(first) if is_single || together.is_empty() => vec![*first],
            _ => together.into_iter().take(MAX_WANTS).collect(),
        };
        round.left.retain(|want| !batch.contains(want));
        for want in &batch {
            wants[*want].tried = Some(now.steady);
        }
        Some(batch)
    }

    /// What is due, and what would be within the shortest interval, those first that were not tried for longest.
    fn due_together(&mut self, now: Moment) -> Vec<usize> {
        if self.quiet_until.is_some_and(|until| !until.has_come(now)) {
            return Vec::new();
        }
        self.quiet_until = None;
        if !self.wants.iter().any(|want| want.due.has_come(now)) {
            return Vec::new();
        }
        let min_interval = self.settings.min_interval;
        let joins = |want: &Tracked| {
            want.failures == 0 && want.due.wait(now) <= min_interval && is_old(want, min_interval, now)
        };
        let mut due: Vec<usize> = (0..self.wants.len())
            .filter(|want| self.wants[*want].due.has_come(now) || joins(&self.wants[*want]))
            .collect();
        due.sort_by_key(|want| self.wants[*want].tried);
        due
    }

    /// The broker gave a want, which is due again after `wait`.
    pub(super) fn given(&mut self, want: usize, asked: Moment, wait: Duration) {
        self.answered();
        let tried = self.wants[want].tried;
        self.wants[want] = Tracked { due: asked.after(wait), tried, failures: 0, is_suspect: false };
    }

    /// Asking for `batch` failed.
    pub(super) fn failed(&mut self, batch: &[usize], outcome: Outcome, now: Moment, random: &dyn Random) {
        match outcome {
            Outcome::OfWant(denied) => {
                self.answered();
                self.fail_alone(denied, now, None, random);
                self.put_back(batch.iter().copied().filter(|want| *want != denied));
            }
            Outcome::Throttled(asked_for) => {
                self.throttled = self.throttled.saturating_add(1);
                let until = now.after(self.pause(self.throttled, asked_for, random));
                self.quiet_until = Some(until);
                self.put_back(batch.iter().copied());
                self.postpone_the_rest(until);
            }
            Outcome::NoAnswer(asked_for) => self.not_answered(batch, asked_for, now, random),
        }
    }

    /// Makes a want due, unless it was asked for within the shortest interval.
    pub(super) fn nudge(&mut self, want: usize, now: Moment) {
        let tracked = &mut self.wants[want];
        if is_old(tracked, self.settings.min_interval, now) && !tracked.due.has_come(now) {
            tracked.due = now;
        }
    }

    fn answered(&mut self) {
        self.outage = 0;
        self.throttled = 0;
        if let Some(round) = &mut self.round {
            round.is_proven = true;
            round.failed_alone = 0;
        }
    }

    fn not_answered(&mut self, batch: &[usize], asked_for: Option<Duration>, now: Moment, random: &dyn Random) {
        let is_proven = self.round.as_ref().is_some_and(|round| round.is_proven);
        match *batch {
            [alone] if is_proven || self.wants[alone].is_suspect => {
                self.wants[alone].is_suspect = true;
                self.fail_alone(alone, now, asked_for, random);
                let round = self.round.as_mut();
                let failed_alone = round.map_or(0, |round| {
                    round.failed_alone += 1;
                    round.failed_alone
                });
                if failed_alone >= GONE_AGAIN {
                    self.outage = OUTAGE;
                    let until = now.after(self.pause(self.outage, None, random));
                    self.postpone_the_rest(until);
                }
            }
            _ if is_proven => {
                self.put_back(batch.iter().copied());
                if let Some(round) = &mut self.round {
                    round.is_split = true;
                }
            }
            _ => {
                self.outage = self.outage.saturating_add(1);
                let mut failures = self.outage;
                for want in batch {
                    let want = &mut self.wants[*want];
                    want.failures = want.failures.saturating_add(1);
                    failures = failures.max(want.failures);
                }
                let until = now.after(self.pause(failures, asked_for, random));
                for want in self.wants.iter_mut().filter(|want| want.failures > 0 && !want.is_suspect) {
                    want.due = until;
                }
                self.postpone_the_rest(until);
            }
        }
    }

    fn fail_alone(&mut self, want: usize, now: Moment, asked_for: Option<Duration>, random: &dyn Random) {
        let failures = self.wants[want].failures.saturating_add(1);
        let wait = self.pause(failures, asked_for, random);
        self.wants[want].failures = failures;
        self.wants[want].due = now.after(wait);
    }

    fn pause(&self, failures: u32, asked_for: Option<Duration>, random: &dyn Random) -> Duration {
        let longest = self.settings.max_backoff;
        match asked_for.unwrap_or_default() {
            too_long if too_long > self.patience => {
                backoff(failures, self.patience, longest.min(self.patience), random)
            }
            asked_for => backoff(failures, asked_for, longest, random),
        }
    }

    fn put_back(&mut self, wants: impl Iterator<Item = usize>) {
        if let Some(round) = &mut self.round {
            round.left.splice(0..0, wants);
        }
    }

    /// Ends the round.
    fn postpone_the_rest(&mut self, until: Moment) {
        for want in self.round.take().map(|round| round.left).unwrap_or_default() {
            self.wants[want].due = until;
        }
    }
}

fn is_old(want: &Tracked, min_interval: Duration, now: Moment) -> bool {
    want.tried.is_none_or(|tried| now.steady.saturating_duration_since(tried) >= min_interval)
}
