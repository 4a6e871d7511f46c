use std::time::Duration;

use protocol::{Random, SystemRandom};

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(5);

/// How often a request is tried.
pub const MAX_TRIES: u32 = 5;

/// How long to wait after this many tries: full jitter below a bound that doubles, so that a fleet that was refused at
/// once does not come back at once; besides what the broker asked for, as it said. Callers know how long they have.
///
/// Source: "Exponential Backoff And Jitter", AWS Architecture Blog.
#[must_use]
pub fn pause(tries: u32, asked_for: Option<Duration>) -> Duration {
    let bound = FIRST.saturating_mul(2_u32.saturating_pow(tries.saturating_sub(1))).min(LONGEST);
    asked_for.unwrap_or_default() + share(bound)
}

/// Whether an answer of this status may be another the next time: throttling and server errors.
#[must_use]
pub const fn is_worth_another(status: u16) -> bool {
    status == 429 || status >= 500
}

/// A random share of a duration.
#[must_use]
pub fn share(bound: Duration) -> Duration {
    let mut bytes = [0; 2];
    SystemRandom.fill(&mut bytes);
    bound.mul_f64(f64::from(u16::from_be_bytes(bytes)) / f64::from(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_stay_below_a_bound_that_grows_to_five_seconds() {
        for (tries, bound) in [(1, FIRST), (2, FIRST * 2), (5, FIRST * 16), (6, LONGEST), (u32::MAX, LONGEST)] {
            for _ in 0..100 {
                assert!(pause(tries, None) <= bound);
            }
        }
    }

    #[test]
    fn what_the_broker_asks_for_is_the_least() {
        for asked in [Duration::from_secs(2), Duration::from_secs(86_400)] {
            assert!((asked..=asked + FIRST).contains(&pause(1, Some(asked))));
        }
    }
}
