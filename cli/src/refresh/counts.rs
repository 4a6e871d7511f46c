use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// What was asked for since the start, counted. Clones share the numbers.
#[derive(Clone, Debug, Default)]
pub struct Counts(Arc<Numbers>);

#[derive(Debug, Default)]
struct Numbers {
    given: AtomicU64,
    failed: AtomicU64,
    throttled: AtomicU64,
    pulls: AtomicU64,
}

impl Counts {
    /// Exchanges that were given.
    #[must_use]
    pub fn given(&self) -> u64 {
        self.0.given.load(Relaxed)
    }

    /// Exchanges that failed, those that were throttled apart.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.0.failed.load(Relaxed)
    }

    /// Exchanges that the broker asked to make later.
    #[must_use]
    pub fn throttled(&self) -> u64 {
        self.0.throttled.load(Relaxed)
    }

    /// How often material was pulled.
    #[must_use]
    pub fn pulls(&self) -> u64 {
        self.0.pulls.load(Relaxed)
    }

    pub(super) fn count_given(&self) {
        self.0.given.fetch_add(1, Relaxed);
    }

    pub(super) fn count_failed(&self) {
        self.0.failed.fetch_add(1, Relaxed);
    }

    pub(super) fn count_throttled(&self) {
        self.0.throttled.fetch_add(1, Relaxed);
    }

    pub(super) fn set_pulls(&self, pulls: u64) {
        self.0.pulls.store(pulls, Relaxed);
    }
}
