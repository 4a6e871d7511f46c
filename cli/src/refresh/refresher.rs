use std::{sync::Arc, time::Duration};

use ports::chain;
use protocol::{Grant, Random, Want};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout_at},
};

use super::{
    Counts, Event, Exchange, Failure, Holdings, Nudge,
    schedule::{Moment, backoff, share, use_by},
    upkeep::Upkeep,
    wanted::{Wanted, make, whole},
};
use crate::{Error, config::RefreshSettings};

/// Events that wait for their receiver; more of them are merged.
const EVENTS: usize = 4;

/// The last try is begun this long before the end of the time at the latest.
const LAST_TRY: Duration = Duration::from_millis(500);

/// Obtains the items, and keeps them fresh.
///
/// An item that the broker does not give keeps its last good value until its use-by, is asked for again after pauses that grow,
/// and touches no other item.
pub struct Refresher<E> {
    pub(super) holdings: Holdings,
    pub(super) settings: RefreshSettings,
    pub(super) exchange: Arc<E>,
    pub(super) random: Arc<dyn Random>,
    pub(super) counts: Counts,
    pub(super) wants: Vec<Wanted>,
    pub(super) start: Start,
}

/// What happened before the upkeep.
#[derive(Clone, Copy, Debug)]
pub(super) enum Start {
    /// Nothing was asked for yet.
    None,
    /// Nothing came.
    Failed,
    /// Everything came.
    Given(Moment),
}

impl<E: Exchange> Refresher<E> {
    /// What obtains these items and keeps them fresh.
    #[must_use]
    pub fn new(holdings: Holdings, settings: RefreshSettings, exchange: E, random: Arc<dyn Random>) -> Self {
        let wants = Wanted::of(holdings.items());
        let (exchange, counts) = (Arc::new(exchange), Counts::default());
        Self { holdings, settings, exchange, random, counts, wants, start: Start::None }
    }

    /// What is counted, from now on too.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts.clone()
    }

    /// Obtains every item in one exchange, or none.
    ///
    /// It waits a random share of the splay first. From then on it may take as long as `within`: where the broker throttles or
    /// cannot answer, it is asked again, after pauses that grow, and not before the time that it asks for.
    ///
    /// # Errors
    /// What the last try ended with; [`Error::AskedToWait`] where the broker asks for a wait that ends too late;
    /// [`Error::NotTheItem`]; [`Error::TimedOut`]. Then no item came.
    pub async fn start(&mut self, within: Duration) -> Result<(), Error> {
        sleep(share(self.settings.splay, &*self.random)).await;
        self.start = Start::Failed;
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
            let longest = (left - asked_for).saturating_sub(LAST_TRY);
            if longest < LAST_TRY {
                return Err(error);
            }
            let wait = backoff(tries, asked_for, self.settings.max_backoff.min(longest), &*self.random);
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
                values.push((item, make(item, &grant, asked)?));
            }
        }
        for (item, value) in values {
            let use_by = use_by(asked, value.expires_at(), item.keep);
            tracing::info!(item = %item.name, version = value.version(), "came");
            self.holdings.update(&item.name, |state| state.take(Arc::new(value), asked, use_by));
        }
        self.start = Start::Given(asked);
        Ok(())
    }

    /// Keeps the items fresh in a task of its own, until the receiver is dropped.
    ///
    /// What no start obtained is due at once, or within the splay where there was no start, and comes as
    /// [`Event::Changed`].
    #[must_use]
    pub fn spawn(self) -> (mpsc::Receiver<Event>, Nudge) {
        let (events, receiver) = mpsc::channel(EVENTS);
        let (nudge, nudges) = Nudge::new();
        tokio::spawn(Upkeep::new(self).run(events, nudges));
        (receiver, nudge)
    }

    pub(super) fn count(&self, outcome: &Result<Vec<Grant>, Failure>) {
        self.counts.set_pulls(self.exchange.pulls());
        match outcome {
            Ok(_) => self.counts.count_given(),
            Err(Failure::Throttled { .. }) => self.counts.count_throttled(),
            Err(_) => self.counts.count_failed(),
        }
    }
}
