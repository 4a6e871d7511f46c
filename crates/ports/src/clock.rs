use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Wall-clock time. A frozen function's monotonic clock says nothing about how old its caches are.
pub trait Clock: Send + Sync + 'static {
    /// Time since the Unix epoch.
    fn now(&self) -> Duration;

    /// Unix time in seconds (RFC 7519 `NumericDate` without a fraction).
    fn unix_seconds(&self) -> u64 {
        self.now().as_secs()
    }
}

/// The operating system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }
}
