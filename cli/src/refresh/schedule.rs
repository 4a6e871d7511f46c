//! When an item is asked for again, as functions of time and chance.

use std::time::Duration;

use protocol::Random;
use tokio::time::Instant;

use crate::config::RefreshSettings;

/// The bound of the first pause after a failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest that the broker may ask a client that stays to wait.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// Beyond this nothing is planned: ten years.
const FAR: Duration = Duration::from_secs(10 * 365 * 86_400);

/// A point in time by two clocks.
///
/// The wall clock goes on while a machine sleeps, and may be set forward and back; the steady one does neither. What is
/// planned comes when either gets there: neither sleep nor a clock that is set back makes it late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Since the Unix epoch.
    pub(crate) wall: Duration,
    /// What the operating system counts while it runs.
    pub(crate) steady: Instant,
}

impl Moment {
    /// This long after it, at most ten years.
    pub(crate) fn after(self, wait: Duration) -> Self {
        let wait = wait.min(FAR);
        Self { wall: self.wall.saturating_add(wait), steady: self.steady + wait }
    }

    /// Whether it has come.
    pub(crate) fn has_come(self, now: Self) -> bool {
        self.wait(now).is_zero()
    }

    /// How long until it comes, where no clock is set meanwhile.
    pub(crate) fn wait(self, now: Self) -> Duration {
        let wall = self.wall.saturating_sub(now.wall);
        wall.min(self.steady.saturating_duration_since(now.steady))
    }

    /// Unix time in seconds.
    pub(crate) const fn unix_seconds(self) -> u64 {
        self.wall.as_secs()
    }
}

/// Until when something may be used that came at `came` and ends at `expires_at`, Unix time in seconds; where it has no end of
/// its own, for as long as it is to be kept.
pub(crate) fn use_by(came: Moment, expires_at: Option<u64>, keep: Duration) -> Moment {
    let end = expires_at.map(Duration::from_secs);
    came.after(end.map_or(keep, |end| end.saturating_sub(came.wall)))
}

/// How long after it came something is asked for again: after half to two thirds of its life, where it has an end; else after the
/// interval less up to a tenth, or earlier where it is not kept for as long. Never before the shortest interval.
pub(crate) fn refresh_after(
    settings: &RefreshSettings,
    life: Option<Duration>,
    keep: Duration,
    random: &dyn Random,
) -> Duration {
    let part = |life: Duration| life / 2 + share(life / 6, random);
    let wait = match life {
        Some(life) => part(life),
        None => (settings.interval - share(settings.interval / 10, random)).min(part(keep)),
    };
    wait.max(settings.min_interval)
}

/// How long to wait after this many failures in a row: full jitter below a bound that doubles from a second to `longest`.
///
/// Source: "Exponential Backoff And Jitter", AWS Architecture Blog.
pub(crate) fn backoff(failures: u32, longest: Duration, random: &dyn Random) -> Duration {
    let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
    share(FIRST_PAUSE.saturating_mul(doubled).min(longest), random)
}

/// A random share of a duration: from nothing to less than all of it.
pub(crate) fn share(bound: Duration, random: &dyn Random) -> Duration {
    let mut bytes = [0; 4];
    random.fill(&mut bytes);
    bound.min(FAR).mul_f64(f64::from(u32::from_be_bytes(bytes)) / 2_f64.powi(32))
}
