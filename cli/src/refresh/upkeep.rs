use std::{future::pending, pin::Pin, sync::Arc, time::Duration};

use ports::chain;
use protocol::{Grant, Want};
use tokio::{
    sync::{mpsc, oneshot},
    time::sleep,
};

use super::{
    Event, Exchange, Failure, Refresher,
    event::Pending,
    nudge::Nudged,
    refresher::Start,
    rounds::{Outcome, Rounds},
    schedule::{Moment, fraction, refresh_after, share, use_by},
    wanted::{Wanted, life, make, whole},
};
use crate::Error;

/// How often the wall clock is looked at: it may have been set, and the machine may have slept.
const LOOK_AT_THE_CLOCK: Duration = Duration::from_secs(60);

/// How often the broker is asked for its generation, give or take a quarter.
const FOLLOW_ROTATION: Duration = Duration::from_secs(3600);

/// The loop that keeps items fresh. It asks for one thing at a time, and watches the clocks meanwhile.
pub(super) struct Upkeep<E> {
    refresher: Refresher<E>,
    rounds: Rounds,
    follow_at: Moment,
    pending: Pending,
    waiting: Vec<oneshot::Sender<()>>,
}

/// What is asked for, on its way.
type Flight = Pin<Box<dyn Future<Output = Landed> + Send>>;

enum Landed {
    Asked { batch: Vec<usize>, asked: Moment, outcome: Result<Vec<Grant>, Failure> },
    Followed(Result<bool, Error>),
}

impl<E: Exchange> Upkeep<E> {
    pub(super) fn new(refresher: Refresher<E>) -> Self {
        let now = refresher.holdings.moment();
        let (settings, random) = (refresher.settings, &*refresher.random);
        let all = refresher.wants.len();
        let rounds = match refresher.start {
            Start::Given(start) => {
                let jitter = fraction(random);
                let due = |wanted| start.after(first_refresh_after(&refresher, wanted, start, jitter));
                Rounds::new(settings, refresher.wants.iter().map(due), Some(start.steady))
            }
            Start::Failed => Rounds::new(settings, vec![now; all], None),
            Start::None => Rounds::new(settings, vec![now.after(share(settings.splay, random)); all], None),
        };
        // A fleet that started at once does not ask for its generation at once.
        let follow_at = now.after(share(settings.interval, random));
        Self { refresher, rounds, follow_at, pending: Pending::default(), waiting: Vec::new() }
    }

    pub(super) async fn run(mut self, events: mpsc::Sender<Event>, mut nudges: mpsc::Receiver<Nudged>) {
        let mut flight = None;
        let mut is_nudged = true;
        self.show_due();
        loop {
            self.end_what_is_past();
            let now = self.refresher.holdings.moment();
            if flight.is_none() {
                flight = self.take_off(now);
            }
            if flight.is_none() {
                self.waiting.clear();
            }
            let wait = self.wait(now, flight.is_some());
            tokio::select! {
                () = events.closed() => return,
                landed = arrival(&mut flight) => {
                    flight = None;
                    self.land(landed);
                }
                permit = events.reserve(), if !self.pending.is_empty() => {
                    if let (Ok(permit), Some(event)) = (permit, self.pending.take()) {
                        permit.send(event);
                    }
                }
                nudged = nudges.recv(), if is_nudged => match nudged {
                    Some(nudged) => self.nudged(nudged),
                    None => is_nudged = false,
                },
                () = sleep(wait) => {}
            }
        }
    }

    /// Sends what is due.
    fn take_off(&mut self, now: Moment) -> Option<Flight> {
        let exchange = Arc::clone(&self.refresher.exchange);
        if let Some(batch) = self.rounds.next(now) {
            let wants: Vec<Want> = batch.iter().map(|want| self.refresher.wants[*want].want.clone()).collect();
            return Some(Box::pin(async move {
                let outcome = exchange.exchange(&wants).await.and_then(|answer| whole(answer, wants.len()));
                Landed::Asked { batch, asked: now, outcome }
            }));
        }
        if self.follow_at.has_come(now) {
            return Some(Box::pin(async move { Landed::Followed(exchange.follow_rotation().await) }));
        }
        None
    }

    /// How long until there is something to do, where nothing comes from outside.
    fn wait(&self, now: Moment, is_flying: bool) -> Duration {
        let holdings = &self.refresher.holdings;
        let ends = holdings.items().iter().filter_map(|item| holdings.state(&item.name).ends_at());
        let wait = ends.map(|ends| ends.wait(now)).fold(LOOK_AT_THE_CLOCK, Duration::min);
        if is_flying { wait } else { wait.min(self.follow_at.wait(now)).min(self.rounds.wait(now).unwrap_or(wait)) }
    }

    fn land(&mut self, landed: Landed) {
        match landed {
            Landed::Followed(outcome) => {
                match outcome {
                    Ok(true) => tracing::info!("material of a new generation was pulled"),
                    Ok(false) => tracing::debug!("the material is of the broker's generation"),
                    Err(error) => tracing::warn!(error = chain(&error), "the broker's generation is not known"),
                }
                let Refresher { exchange, counts, holdings, random, .. } = &self.refresher;
                counts.set_pulls(exchange.pulls());
                let wait = FOLLOW_ROTATION * 3 / 4 + share(FOLLOW_ROTATION / 2, &**random);
                self.follow_at = holdings.moment().after(wait);
            }
            Landed::Asked { batch, asked, outcome } => {
                self.refresher.count(&outcome);
                match outcome {
                    Ok(grants) => {
                        let jitter = fraction(&*self.refresher.random);
                        for (want, grant) in batch.iter().zip(grants) {
                            self.given(*want, &Arc::new(grant), asked, jitter);
                        }
                    }
                    Err(failure) => self.failed(&batch, &failure),
                }
                self.show_due();
            }
        }
    }

    fn given(&mut self, want: usize, grant: &Arc<Grant>, asked: Moment, jitter: f64) {
        let Refresher { holdings, settings, wants, .. } = &self.refresher;
        let mut its_life = None;
        for item in &wants[want].items {
            let value = match make(item, grant, asked) {
                Ok(value) => value,
                Err(error) => {
                    holdings.update(&item.name, |state| state.failures = state.failures.saturating_add(1));
                    tracing::warn!(item = %item.name, error = chain(&error), "not refreshed");
                    continue;
                }
            };
            its_life = life(&value, asked);
            if holdings.value(&item.name).is_none_or(|held| !held.is_same(&value)) {
                tracing::info!(item = %item.name, version = value.version(), "changed");
                self.pending.changed(&item.name);
            } else if holdings.state(&item.name).failures > 0 {
                tracing::info!(item = %item.name, version = value.version(), "given again, unchanged");
            }
            let use_by = use_by(asked, value.expires_at(), item.keep);
            holdings.update(&item.name, |state| state.take(Arc::new(value), asked, use_by));
        }
        let wait = refresh_after(settings, its_life, wants[want].keep(), jitter);
        self.rounds.given(want, asked, wait);
    }

    fn failed(&mut self, batch: &[usize], failure: &Failure) {
        let Refresher { holdings, wants, random, .. } = &self.refresher;
        let no_answer = |retry_after| (Outcome::NoAnswer(retry_after), batch.to_vec());
        let (outcome, failed) = match failure {
            Failure::OfWant { want, .. } => match batch.get(*want) {
                Some(denied) => (Outcome::OfWant(*denied), vec![*denied]),
                None => no_answer(None),
            },
            Failure::Throttled { retry_after, .. } => (Outcome::Throttled(*retry_after), Vec::new()),
            Failure::Unavailable { retry_after, .. } => no_answer(*retry_after),
            Failure::ForGood(_) => no_answer(None),
        };
        let affected = if failed.is_empty() { batch } else { &failed };
        let names = affected.iter().flat_map(|want| &wants[*want].items).map(|item| item.name.as_str());
        let names = names.collect::<Vec<_>>().join(" ");
        tracing::warn!(items = names, error = chain(failure.error()), "not refreshed");
        for item in failed.iter().flat_map(|want| &wants[*want].items) {
            holdings.update(&item.name, |state| state.failures = state.failures.saturating_add(1));
        }
        let now = holdings.moment();
        let ends = holdings.items().iter().filter_map(|item| holdings.state(&item.name).ends_at());
        self.rounds.ends_in(ends.map(|ends| ends.wait(now)).min());
        self.rounds.failed(batch, outcome, now, &**random);
    }

    fn end_what_is_past(&mut self) {
        let holdings = &self.refresher.holdings;
        let now = holdings.now();
        for item in holdings.items() {
            let state = holdings.state(&item.name);
            if state.value.is_some() && !state.is_usable(now) {
                tracing::warn!(item = %item.name, failures = state.failures, "past its use-by: it is not used any more");
                holdings.update(&item.name, |state| state.value = None);
                self.pending.ended(&item.name);
            }
        }
    }

    fn nudged(&mut self, nudged: Nudged) {
        let now = self.refresher.holdings.moment();
        for (want, wanted) in self.refresher.wants.iter().enumerate() {
            if nudged.item.as_ref().is_none_or(|name| wanted.items.iter().any(|item| item.name == *name)) {
                self.rounds.nudge(want, now);
            }
        }
        self.waiting.extend(nudged.waiting);
        self.show_due();
    }

    fn show_due(&self) {
        for (want, wanted) in self.refresher.wants.iter().enumerate() {
            let due_at = self.rounds.due(want).unix_seconds();
            for item in &wanted.items {
                self.refresher.holdings.update(&item.name, |state| state.due_at = due_at);
            }
        }
    }
}

/// The first time after a start what has no end is due at a time of its interval that is each client's own: a fleet that started
/// at once does not come again at once.
fn first_refresh_after<E>(refresher: &Refresher<E>, wanted: &Wanted, start: Moment, jitter: f64) -> Duration {
    let Refresher { holdings, settings, .. } = refresher;
    let value = wanted.items.first().and_then(|item| holdings.state(&item.name).value);
    let life = value.and_then(|value| life(&value, start));
    let wait = refresh_after(settings, life, wanted.keep(), jitter);
    if life.is_some() {
        return wait;
    }
    let least = settings.min_interval.min(wait);
    least + (wait - least).mul_f64(jitter)
}

async fn arrival(flight: &mut Option<Flight>) -> Landed {
    match flight {
        Some(flight) => flight.await,
        None => pending().await,
    }
}
