use std::{sync::Arc, time::Duration};

use tokio::sync::Mutex;

use crate::{Clock, Fault, chain};

/// How long a value is used without asking whether it changed.
pub const MAX_AGE: Duration = Duration::from_mins(1);

/// How long a value is used at most while its source fails.
pub const MAX_STALE: Duration = Duration::from_mins(10);

/// The least time between two loads for requests that name an unknown generation, and between two attempts at a failing
/// source: what bounds the load that either can cause.
pub const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How long a caller waits for a new value while there is one that can be used.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where a cached value comes from.
pub trait Source: Send + Sync + 'static {
    /// The value.
    type Value: Send + Sync + 'static;

    /// Loads the value, or says by `None` that `known` is still it.
    fn load(&self, known: Option<&Self::Value>) -> impl Future<Output = Result<Option<Self::Value>, Fault>> + Send;
}

/// A value that is loaded once, revalidated after [`MAX_AGE`], and kept for [`MAX_STALE`] while its source fails.
///
/// Callers that come while a load is under way wait for it and share its outcome.
pub struct Cached<S: Source> {
    source: S,
    state: Mutex<State<S::Value>>,
}

struct State<V> {
    slot: Option<Slot<V>>,
    /// When the source last failed.
    failed: Option<Duration>,
    /// When the source was last asked for a generation that the value does not know.
    refreshed: Option<Duration>,
}

struct Slot<V> {
    value: Arc<V>,
    /// When the source last confirmed the value.
    confirmed: Duration,
}

impl<S: Source> Cached<S> {
    /// An empty cache over a source.
    pub const fn new(source: S) -> Self {
        Self { source, state: Mutex::const_new(State { slot: None, failed: None, refreshed: None }) }
    }

    /// The source itself.
    pub const fn source(&self) -> &S {
        &self.source
    }

    /// The value, at most [`MAX_AGE`] old while the source answers.
    ///
    /// # Errors
    /// The source's, where there is no value or it is older than [`MAX_STALE`].
    pub async fn get(&self, clock: &impl Clock) -> Result<Arc<S::Value>, Fault> {
        self.load(false, clock).await
    }

    /// The value, loaded anew unless it was refreshed less than [`RETRY_AFTER`] ago.
    ///
    /// For a request that names a generation that the value does not know. The first such request after a rotation is
    /// served, whenever the source was asked before, unless strangers make up generations in the same second.
    ///
    /// # Errors
    /// As [`Cached::get`].
    pub async fn refresh(&self, clock: &impl Clock) -> Result<Arc<S::Value>, Fault> {
        self.load(true, clock).await
    }

    async fn load(&self, refresh: bool, clock: &impl Clock) -> Result<Arc<S::Value>, Fault> {
        let mut state = self.state.lock().await;
        let State { slot, failed, refreshed } = &mut *state;
        let now = clock.now();
        let since = |then: Duration| now.saturating_sub(then);
        let just_now = |then: &Option<Duration>| then.is_some_and(|then| since(then) < RETRY_AFTER);
        let failed_just_now = just_now(failed);
        if let Some(Slot { value, confirmed }) = slot
            && since(*confirmed) < MAX_STALE
            && (if refresh { just_now(refreshed) } else { since(*confirmed) < MAX_AGE } || failed_just_now)
        {
            return Ok(Arc::clone(value));
        }
        if failed_just_now {
            return Err(Fault::Unavailable("the source failed a moment ago".into()));
        }
        // Who has a value does not wait long for a better one.
        let usable = slot.as_ref().is_some_and(|slot| since(slot.confirmed) < MAX_STALE);
        let load = self.source.load(slot.as_ref().map(|slot| &*slot.value));
        let loaded = if usable {
            let loaded = tokio::time::timeout(PATIENCE, load).await;
            loaded.unwrap_or_else(|_| Err(Fault::Unavailable("no answer in time".into())))
        } else {
            load.await
        };
        // Who waited for this load asks by this time whether it was just now.
        let ended = clock.now();
        *failed = loaded.is_err().then_some(ended);
        if refresh {
            *refreshed = Some(ended);
        }
        match (loaded, slot) {
            (Ok(Some(value)), slot) => {
                let value = Arc::new(value);
                *slot = Some(Slot { value: Arc::clone(&value), confirmed: now });
                Ok(value)
            }
            (Ok(None), Some(slot)) => {
                slot.confirmed = now;
                Ok(Arc::clone(&slot.value))
            }
            (Ok(None), None) => Err(Fault::Unusable("nothing was loaded")),
            (Err(fault), Some(slot)) if usable => {
                tracing::warn!(error = chain(&fault), "kept the last good value");
                Ok(Arc::clone(&slot.value))
            }
            (Err(fault), _) => Err(fault),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::memory::{Failing, FaultSwitch, ManualClock};

    /// Counts its loads and gives the count as the value.
    #[derive(Default)]
    struct Counter {
        loads: AtomicUsize,
        unchanged: bool,
        switch: FaultSwitch,
    }

    impl Source for Counter {
        type Value = usize;

        async fn load(&self, known: Option<&usize>) -> Result<Option<usize>, Fault> {
            let loads = self.loads.fetch_add(1, Ordering::Relaxed) + 1;
            self.switch.pass().await?;
            Ok((known.is_none() || !self.unchanged).then_some(loads))
        }
    }

    #[tokio::test]
    async fn a_value_is_reused_for_a_minute_and_then_asked_for() {
        let (cached, clock) = (Cached::new(Counter::default()), ManualClock::new(1_000));
        assert_eq!(*cached.get(&clock).await.unwrap(), 1);
        clock.advance(MAX_AGE - Duration::from_millis(1));
        assert_eq!(*cached.get(&clock).await.unwrap(), 1);
        clock.advance(Duration::from_millis(1));
        assert_eq!(*cached.get(&clock).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn an_unchanged_value_is_good_for_another_minute() {
        let source = Counter { unchanged: true, ..Counter::default() };
        let (cached, clock) = (Cached::new(source), ManualClock::new(1_000));
        for _ in 0..3 {
            assert_eq!(*cached.get(&clock).await.unwrap(), 1);
            clock.advance(MAX_AGE);
        }
        assert_eq!(cached.source().loads.load(Ordering::Relaxed), 3);
    }

    #[tokio::test]
    async fn unknown_generations_cause_one_load_a_second() {
        let (cached, clock) = (Cached::new(Counter::default()), ManualClock::new(1_000));
        cached.get(&clock).await.unwrap();
        for loads in 2..5 {
            for _ in 0..100 {
                assert_eq!(*cached.refresh(&clock).await.unwrap(), loads);
            }
            clock.advance(RETRY_AFTER);
        }
    }

    #[tokio::test]
    async fn a_failing_source_keeps_the_last_good_value_for_ten_minutes() {
        let (cached, clock) = (Cached::new(Counter::default()), ManualClock::new(1_000));
        cached.get(&clock).await.unwrap();
        cached.source().switch.set(Failing::Unavailable);
        clock.advance(MAX_STALE - Duration::from_secs(1));
        for _ in 0..100 {
            assert_eq!(*cached.get(&clock).await.unwrap(), 1);
        }
        assert_eq!(cached.source().loads.load(Ordering::Relaxed), 2, "asked once a second at most");
        clock.advance(RETRY_AFTER);
        for _ in 0..100 {
            assert!(matches!(cached.get(&clock).await, Err(Fault::Unavailable(_))));
        }
        assert_eq!(cached.source().loads.load(Ordering::Relaxed), 3, "asked once a second at most");
        cached.source().switch.set(Failing::No);
        clock.advance(RETRY_AFTER);
        assert!(cached.get(&clock).await.is_ok());
    }

    #[tokio::test]
    async fn a_slow_source_is_not_waited_for_where_there_is_a_value() {
        let (cached, clock) = (Cached::new(Counter::default()), ManualClock::new(1_000));
        cached.get(&clock).await.unwrap();
        cached.source().switch.set(Failing::Slow(Duration::from_secs(600)));
        clock.advance(MAX_AGE);
        let got = tokio::time::timeout(PATIENCE * 2, cached.get(&clock)).await.expect("within its patience");
        assert_eq!(*got.unwrap(), 1);
        let again = tokio::time::timeout(PATIENCE / 2, cached.get(&clock)).await.expect("at once, for a second");
        assert_eq!(*again.unwrap(), 1);
    }

    #[tokio::test]
    async fn without_a_value_the_sources_fault_is_the_answer() {
        let cached = Cached::new(Counter::default());
        cached.source().switch.set(Failing::Throttled);
        let clock = ManualClock::new(1_000);
        assert!(matches!(cached.get(&clock).await, Err(Fault::Throttled(_))));
        for _ in 0..100 {
            assert!(cached.get(&clock).await.is_err());
        }
        assert_eq!(cached.source().loads.load(Ordering::Relaxed), 1, "asked once a second at most");
        cached.source().switch.set(Failing::No);
        clock.advance(RETRY_AFTER);
        assert!(cached.get(&clock).await.is_ok());
    }
}
