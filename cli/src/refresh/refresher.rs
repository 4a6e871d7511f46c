use std::{pin::Pin, sync::Arc, time::Duration};

use ports::chain;
use protocol::{Answer, ClientError, Grant, Random, Want};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep, timeout_at},
};

use super::{
    Counts, Event, Exchange, Failure, Holdings, ItemValue, NotTheItem, Nudge,
    event::Pending,
    nudge::Nudged,
    rounds::{Outcome, Rounds},
    schedule::{Moment, backoff, refresh_after, share, use_by},
};
use crate::{
    Error,
    config::{Item, RefreshSettings},
};

/// How often the wall clock is looked at: it may have been set, and the machine may have slept.
const LOOK_AT_THE_CLOCK: Duration = Duration::from_secs(60);

/// How often the broker is asked for its generation, give or take a quarter.
const FOLLOW_ROTATION: Duration = Duration::from_secs(3600);

/// Events that wait for their receiver; the rest is merged.
const EVENTS: usize = 4;

/// Less than this before the end of the time for the start no other try is begun.
const TOO_LATE: Duration = Duration::from_secs(1);

/// Obtains the items, and keeps them fresh.
///
/// An item that the broker does not give keeps its last good value until its use-by, is asked for again after pauses that grow,
/// and touches no other item: see [`Refresher::spawn`].
pub struct Refresher<E> {
    holdings: Holdings,
    settings: RefreshSettings,
    exchange: Arc<E>,
    random: Arc<dyn Random>,
    counts: Counts,
    wants: Vec<Wanted>,
    /// When the start was, if there was one.
    started: Option<Moment>,
}

/// A distinct want, and the items that are made of it.
#[derive(Debug)]
struct Wanted {
    want: Want,
    items: Vec<Item>,
}

impl<E: Exchange> Refresher<E> {
    /// What keeps these items fresh.
    #[must_use]
    pub fn new(holdings: Holdings, settings: RefreshSettings, exchange: E, random: Arc<dyn Random>) -> Self {
        let mut wants: Vec<Wanted> = Vec::new();
        for item in holdings.items() {
            let want = item.source.want();
            match wants.iter_mut().find(|wanted| wanted.want == want) {
                Some(wanted) => wanted.items.push(item.clone()),
                None => wants.push(Wanted { want, items: vec![item.clone()] }),
            }
        }
        let exchange = Arc::new(exchange);
        Self { holdings, settings, exchange, random, counts: Counts::default(), wants, started: None }
    }

    /// What is counted, from now on too.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts.clone()
    }

    /// Obtains every item in one exchange, or none.
    ///
    /// It waits a random share of the splay first. From then on it may take as long as `within`: where the broker throttles or cannot
    /// answer, it is asked again, after pauses that grow, or that it asks for.
    ///
    /// # Errors
    /// What the last try ended with; [`Error::AskedToWait`] where the broker asks for a pause that ends too late;
    /// [`Error::NotTheItem`]; [`Error::TimedOut`]. Then no item came.
    pub async fn start(&mut self, within: Duration) -> Result<(), Error> {
        sleep(share(self.settings.splay, &*self.random)).await;
        if self.wants.is_empty() {
            return Ok(());
        }
        let deadline = Instant::now() + within;
        let wants: Vec<Want> = self.wants.iter().map(|wanted| wanted.want.clone()).collect();
        let mut tries = 0;
        let mut last = None;
        loop {
            let asked = self.holdings.moment();
            let outcome = timeout_at(deadline, self.exchange.exchange(&wants)).await;
            self.counts.set_pulls(self.exchange.pulls());
            let Ok(outcome) = outcome else { return Err(last.unwrap_or(Error::TimedOut)) };
            let outcome = outcome.and_then(|answer| whole(answer, wants.len()));
            self.count(&outcome);
            tries += 1;
            let (error, asked_for) = match outcome {
                Ok(grants) => return self.take_all(grants, asked),
                Err(Failure::Throttled { error, retry_after } | Failure::Unavailable { error, retry_after }) => {
                    (error.after_tries(tries), retry_after.unwrap_or_default())
                }
                Err(failure @ (Failure::OfWant { .. } | Failure::ForGood(_))) => return Err(failure.into_error()),
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if !asked_for.is_zero() && asked_for >= left {
                return Err(Error::AskedToWait { seconds: asked_for.as_secs() });
            }
            let left = left - asked_for;
            if left < TOO_LATE {
                return Err(error);
            }
            let wait = asked_for + backoff(tries, self.settings.max_backoff.min(left), &*self.random);
            tracing::warn!(error = chain(&error), seconds = wait.as_secs_f32(), "nothing yet: it is asked for again");
            last = Some(error);
            sleep(wait).await;
        }
    }

    fn take_all(&mut self, grants: Vec<Grant>, asked: Moment) -> Result<(), Error> {
        let mut values = Vec::new();
        for (wanted, grant) in self.wants.iter().zip(grants) {
            let grant = Arc::new(grant);
            for item in &wanted.items {
                let value = make(item, &grant, asked).map_err(|source| not_the_item(item, source))?;
                values.push((item, value));
            }
        }
        for (item, value) in values {
            let use_by = use_by(asked, value.expires_at(), item.keep);
            tracing::info!(item = %item.name, version = value.version(), "came");
            self.holdings.update(&item.name, |state| state.take(Arc::new(value), asked, use_by));
        }
        self.started = Some(asked);
        Ok(())
    }

    /// Keeps the items fresh in a task of its own, until the receiver is dropped.
    ///
    /// What did not come at a start is due now.
    #[must_use]
    pub fn spawn(self) -> (mpsc::Receiver<Event>, Nudge) {
        let (events, receiver) = mpsc::channel(EVENTS);
        let (nudge, nudges) = Nudge::new();
        tokio::spawn(Loop::new(self).run(events, nudges));
        (receiver, nudge)
    }

    fn count(&self, outcome: &Result<Vec<Grant>, Failure>) {
        match outcome {
            Ok(_) => self.counts.count_given(),
            Err(Failure::Throttled { .. }) => self.counts.count_throttled(),
            Err(_) => self.counts.count_failed(),
        }
    }
}

/// What the loop waits for from outside: one thing at a time.
enum Landed {
    Asked { batch: Vec<usize>, asked: Moment, outcome: Result<Vec<Grant>, Failure> },
    Followed(Result<bool, Error>),
}

struct Loop<E> {
    refresher: Refresher<E>,
    rounds: Rounds,
    follow_at: Moment,
    pending: Pending,
    waiting: Vec<oneshot::Sender<()>>,
}

impl<E: Exchange> Loop<E> {
    fn new(refresher: Refresher<E>) -> Self {
        let now = refresher.holdings.moment();
        let random = &*refresher.random;
        let settings = refresher.settings;
        let due = refresher.wants.iter().map(|wanted| match refresher.started {
            None => now,
            Some(started) => started.after(refresher.first_refresh_after(wanted, started)),
        });
        let rounds = Rounds::new(settings, due);
        // A fleet that started at once does not ask for its generation at once.
        let follow_at = now.after(share(settings.interval, random));
        Self { refresher, rounds, follow_at, pending: Pending::default(), waiting: Vec::new() }
    }

    async fn run(mut self, events: mpsc::Sender<Event>, mut nudges: mpsc::Receiver<Nudged>) {
        let mut flight: Option<Pin<Box<dyn Future<Output = Landed> + Send>>> = None;
        let mut is_nudged = true;
        for want in 0..self.refresher.wants.len() {
            self.show_due(want);
        }
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
                landed = async { flight.as_mut().expect("there is a flight").await }, if flight.is_some() => {
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

    /// What is to be waited for from outside now.
    fn take_off(&mut self, now: Moment) -> Option<Pin<Box<dyn Future<Output = Landed> + Send>>> {
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

    fn wait(&self, now: Moment, is_flying: bool) -> Duration {
        let mut wait = LOOK_AT_THE_CLOCK;
        if !is_flying {
            wait = wait.min(self.follow_at.wait(now)).min(self.rounds.wait(now).unwrap_or(wait));
        }
        let holdings = &self.refresher.holdings;
        let ends = holdings.items().iter().filter_map(|item| holdings.state(&item.name).ends_at());
        ends.map(|ends| ends.wait(now)).fold(wait, Duration::min)
    }

    fn land(&mut self, landed: Landed) {
        self.refresher.counts.set_pulls(self.refresher.exchange.pulls());
        match landed {
            Landed::Followed(outcome) => {
                match outcome {
                    Ok(true) => tracing::info!("material of a new generation was pulled"),
                    Ok(false) => {}
                    Err(error) => {
                        tracing::warn!(error = chain(&error), "whether there is a new generation is not known")
                    }
                }
                let jitter = share(FOLLOW_ROTATION / 2, &*self.refresher.random);
                self.follow_at = self.refresher.holdings.moment().after(FOLLOW_ROTATION * 3 / 4 + jitter);
            }
            Landed::Asked { batch, asked, outcome } => {
                self.refresher.count(&outcome);
                match outcome {
                    Ok(grants) => {
                        for (want, grant) in batch.iter().zip(grants) {
                            self.given(*want, Arc::new(grant), asked);
                        }
                    }
                    Err(failure) => self.failed(&batch, &failure),
                }
                for want in 0..self.refresher.wants.len() {
                    self.show_due(want);
                }
            }
        }
    }

    fn given(&mut self, want: usize, grant: Arc<Grant>, asked: Moment) {
        let Refresher { holdings, settings, random, wants, .. } = &self.refresher;
        let mut life = None;
        for item in &wants[want].items {
            let value = match make(item, &grant, asked) {
                Ok(value) => value,
                Err(source) => {
                    holdings.update(&item.name, |state| state.failures = state.failures.saturating_add(1));
                    tracing::warn!(item = %item.name, error = chain(&not_the_item(item, source)), "not refreshed");
                    continue;
                }
            };
            life = remaining(&value, asked);
            let before = holdings.state(&item.name);
            let held = holdings.value(&item.name);
            let is_changed = held.is_none_or(|held| !held.is_same(&value));
            if is_changed {
                tracing::info!(item = %item.name, version = value.version(), "changed");
                self.pending.changed(&item.name);
            } else if before.failures > 0 {
                tracing::info!(item = %item.name, version = value.version(), "came again, unchanged");
            }
            let use_by = use_by(asked, value.expires_at(), item.keep);
            holdings.update(&item.name, |state| state.take(Arc::new(value), asked, use_by));
        }
        let keep = wants[want].keep();
        self.rounds.given(want, asked, refresh_after(settings, life, keep, &**random));
    }

    fn failed(&mut self, batch: &[usize], failure: &Failure) {
        let Refresher { holdings, wants, random, .. } = &self.refresher;
        let (outcome, affected) = match failure {
            Failure::OfWant { want, .. } => match batch.get(*want) {
                Some(denied) => (Outcome::OfWant(*denied), vec![*denied]),
                None => (Outcome::NoAnswer(None), batch.to_vec()),
            },
            Failure::Throttled { retry_after, .. } => (Outcome::Throttled(*retry_after), Vec::new()),
            Failure::Unavailable { retry_after, .. } => (Outcome::NoAnswer(*retry_after), batch.to_vec()),
            Failure::ForGood(_) => (Outcome::NoAnswer(None), batch.to_vec()),
        };
        let named = if affected.is_empty() { batch } else { &affected };
        let names: Vec<&str> =
            named.iter().flat_map(|want| &wants[*want].items).map(|item| item.name.as_str()).collect();
        tracing::warn!(items = names.join(" "), error = chain(failure.error()), "not refreshed");
        for item in affected.iter().flat_map(|want| &wants[*want].items) {
            holdings.update(&item.name, |state| state.failures = state.failures.saturating_add(1));
        }
        self.rounds.failed(batch, outcome, holdings.moment(), &**random);
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
    }

    fn show_due(&self, want: usize) {
        let due_at = self.rounds.due(want).unix_seconds();
        for item in &self.refresher.wants[want].items {
            self.refresher.holdings.update(&item.name, |state| state.due_at = due_at);
        }
    }
}

impl Wanted {
    /// How long the one of its items that is kept for the shortest is kept.
    fn keep(&self) -> Duration {
        self.items.iter().map(|item| item.keep).min().unwrap_or(Duration::MAX)
    }
}

impl<E: Exchange> Refresher<E> {
    /// The first time after a start a secret is due anywhere in the interval: a fleet that started at once does not come again at
    /// once.
    fn first_refresh_after(&self, wanted: &Wanted, started: Moment) -> Duration {
        let value = wanted.items.first().and_then(|item| self.holdings.state(&item.name).value);
        let life = value.and_then(|value| remaining(&value, started));
        let wait = refresh_after(&self.settings, life, wanted.keep(), &*self.random);
        if life.is_some() { wait } else { share(wait, &*self.random).max(self.settings.min_interval) }
    }
}

/// How long what came at `came` lives, where it has an end.
fn remaining(value: &ItemValue, came: Moment) -> Option<Duration> {
    value.expires_at().map(|end| Duration::from_secs(end).saturating_sub(came.wall))
}

fn make(item: &Item, grant: &Arc<Grant>, came: Moment) -> Result<ItemValue, NotTheItem> {
    let value = ItemValue::new(&item.source, Arc::clone(grant))?;
    if remaining(&value, came).is_some_and(|life| life.is_zero()) { Err(NotTheItem::Ended) } else { Ok(value) }
}

fn not_the_item(item: &Item, source: NotTheItem) -> Error {
    Error::NotTheItem { item: item.name.clone(), source }
}

/// The grants, where there is one for each want.
fn whole(answer: Answer, wants: usize) -> Result<Vec<Grant>, Failure> {
    if answer.granted.len() == wants {
        Ok(answer.granted)
    } else {
        Err(Failure::ForGood(Error::Protocol(ClientError::MalformedAnswer)))
    }
}
