use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// How long a slow sending is remembered. By the clock: what later requests are about must not show in it.
const REMEMBERED: Duration = Duration::from_mins(10);

/// When a request for a code is answered, so that the time does not tell whether one was sent.
///
/// Answers come at multiples of a grid after the request, and none comes sooner than the slowest sending of late, by whichever
/// channel: a sender that takes longer than the grid would tell otherwise. Not hidden: the first sending of an instance that does.
#[derive(Debug)]
pub(crate) struct Pace {
    grid: Duration,
    /// How many times the grid the slowest sending took, and when it ended.
    slowest: Mutex<Option<(u32, Instant)>>,
}

impl Pace {
    /// A pace of this grid; zero: answers come at once.
    pub(crate) const fn new(grid: Duration) -> Self {
        Self { grid, slowest: Mutex::new(None) }
    }

    /// How long to wait with the answer to a request that came at `began`, and whether a code was sent.
    pub(crate) fn wait(&self, began: Instant, is_sent: bool) -> Duration {
        let now = Instant::now();
        let elapsed = now - began;
        let whole = elapsed.as_nanos().checked_div(self.grid.as_nanos()).unwrap_or_default();
        let own = u32::try_from(whole).unwrap_or(u32::MAX).saturating_add(1);
        let mut slowest = self.slowest.lock().unwrap_or_else(PoisonError::into_inner);
        let known = slowest.filter(|(_, ended)| now - *ended < REMEMBERED).map_or(0, |(ticks, _)| ticks);
        // Also where it is as slow as the slowest: it is so still.
        if is_sent && own >= known {
            *slowest = Some((own, now));
        }
        self.grid.saturating_mul(own.max(known)).saturating_sub(elapsed)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const GRID: Duration = Duration::from_secs(1);

    /// When a request is answered whose work took so many milliseconds.
    async fn answered(pace: &Pace, took: u64, is_sent: bool) -> u128 {
        let began = Instant::now();
        advance(Duration::from_millis(took)).await;
        let wait = pace.wait(began, is_sent);
        (began.elapsed() + wait).as_millis()
    }

    #[tokio::test(start_paused = true)]
    async fn answers_come_on_the_grid() {
        for is_sent in [true, false] {
            for (took, at) in [(0, 1_000), (1, 1_000), (999, 1_000), (1_000, 2_000), (1_300, 2_000)] {
                assert_eq!(answered(&Pace::new(GRID), took, is_sent).await, at, "{took}");
            }
            assert_eq!(answered(&Pace::new(Duration::ZERO), 5, is_sent).await, 5);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_slow_sending_all_answers_are_as_late_whatever_they_are_about() {
        let pace = Pace::new(GRID);
        assert_eq!(answered(&pace, 2_400, true).await, 3_000);
        for (took, is_sent) in [(100, false), (100, true), (100, false), (1_500, true), (100, false)] {
            assert_eq!(answered(&pace, took, is_sent).await, 3_000, "{took} {is_sent}");
        }
        assert_eq!(answered(&pace, 4_100, false).await, 5_000);
        assert_eq!(answered(&pace, 100, true).await, 3_000, "what was not sent changes nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_sending_is_forgotten_in_time_unless_others_are_as_slow() {
        let pace = Pace::new(GRID);
        for _ in 0..3 {
            answered(&pace, 2_400, true).await;
            advance(REMEMBERED / 2).await;
            assert_eq!(answered(&pace, 100, false).await, 3_000);
        }
        advance(REMEMBERED).await;
        assert_eq!(answered(&pace, 100, false).await, 1_000);
    }
}
