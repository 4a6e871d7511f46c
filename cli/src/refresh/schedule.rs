//! When an item is asked for again, as functions of time and chance.

use std::time::Duration;

use protocol::Random;
use tokio::time::Instant;

use crate::config::RefreshSettings;

/// The bound of the first pause after a failure, and the shortest time after which what came is asked for again.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest that the broker may ask a client that stays to wait.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// So many tries, at least, fit in before something ends, however long the broker asks to wait.
const TRIES_BEFORE_THE_END: u32 = 3;

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
///
/// `jitter`, from 0 to 1, is one for all that came together: it is due together again.
pub(crate) fn refresh_after(
    settings: &RefreshSettings,
    life: Option<Duration>,
    keep: Duration,
    jitter: f64,
) -> Duration {
    let part = |life: Duration| life / 2 + (life.min(FAR) / 6).mul_f64(jitter);
    let wait = match life {
        Some(life) => part(life),
        None => (settings.interval - (settings.interval.min(FAR) / 10).mul_f64(jitter)).min(part(keep)),
    };
    wait.max(settings.min_interval).max(FIRST_PAUSE)
}

/// The longest wait that is obeyed, whoever asks for it in the broker's name, where the first of what is held ends after
/// `left`: an hour, and a third of what is left. But the shortest interval is always waited for.
pub(crate) fn patience(settings: &RefreshSettings, left: Option<Duration>) -> Duration {
    let longest = left.map_or(LONGEST_WAIT, |left| (left / TRIES_BEFORE_THE_END).max(settings.min_interval));
    longest.min(LONGEST_WAIT)
}

/// How long to wait after this many failures in a row: from a third to all of a bound that doubles from a second to `longest`, and
/// not less than what the broker asked for.
///
/// Beside full jitter, which begins at nothing, it spares the tries that come too early, and ends storms sooner: see
/// docs/decisions/0025-when-items-are-asked-for-again.md.
pub(crate) fn backoff(failures: u32, asked_for: Duration, longest: Duration, random: &dyn Random) -> Duration {
    let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
    let bound = FIRST_PAUSE.saturating_mul(doubled).min(longest);
    asked_for.max(bound / 3) + share(bound * 2 / 3, random)
}

/// A random share of a duration: from nothing to less than all of it.
pub(crate) fn share(bound: Duration, random: &dyn Random) -> Duration {
    bound.min(FAR).mul_f64(fraction(random))
}

/// A random number from 0 to less than 1.
pub(crate) fn fraction(random: &dyn Random) -> f64 {
    let mut bytes = [0; 4];
    random.fill(&mut bytes);
    f64::from(u32::from_be_bytes(bytes)) / 2_f64.powi(32)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::refresh::simulation::Chance;

    const SECOND: Duration = Duration::from_secs(1);

    fn moment(wall: u64) -> Moment {
        Moment { wall: Duration::from_secs(wall), steady: Instant::now() }
    }

    fn settings(interval: u64, min_interval: u64) -> RefreshSettings {
        let [interval, min_interval] = [interval, min_interval].map(Duration::from_secs);
        RefreshSettings { interval, min_interval, ..RefreshSettings::DEFAULT }
    }

    #[test]
    fn what_is_planned_comes_by_whichever_clock_gets_there_first() {
        let now = moment(1000);
        let planned = now.after(60 * SECOND);
        let at = |wall, steady| Moment { wall: Duration::from_secs(wall), steady: now.steady + steady * SECOND };
        for (name, then, left) in [
            ("neither", at(1059, 59), 1),
            ("both", at(1060, 60), 0),
            ("the machine slept", at(5000, 1), 0),
            ("the clock was set back", at(10, 60), 0),
            ("the clock was set back, too early", at(10, 59), 1),
        ] {
            assert_eq!(planned.wait(then), left * SECOND, "{name}");
            assert_eq!(planned.has_come(then), left == 0, "{name}");
        }
    }

    #[test]
    fn the_use_by_is_the_end_where_there_is_one() {
        let came = moment(1000);
        assert_eq!(use_by(came, None, 60 * SECOND).unix_seconds(), 1060);
        assert_eq!(use_by(came, Some(1010), 60 * SECOND).unix_seconds(), 1010);
        assert_eq!(use_by(came, Some(1010), 60 * SECOND).steady, came.steady + 10 * SECOND);
        assert!(use_by(came, Some(999), 60 * SECOND).has_come(came));
        assert!(use_by(came, Some(u64::MAX), 60 * SECOND).unix_seconds() > 1_000_000);
    }

    proptest! {
        #[test]
        fn pauses_lie_between_a_third_and_all_of_a_bound_that_doubles(
            failures in 1..u32::MAX, longest in 1..86_400_u64, seed: u64,
        ) {
            let longest = Duration::from_secs(longest);
            let bound = longest.min(SECOND * 2_u32.saturating_pow(failures - 1));
            let pause = backoff(failures, Duration::ZERO, longest, &Chance::new(seed));
            prop_assert!((bound / 3..=bound).contains(&pause), "{pause:?} {bound:?}");
        }

        #[test]
        fn a_pause_is_not_shorter_than_the_broker_asked_for(failures in 1..40_u32, asked in 0..7200_u64, seed: u64) {
            let (asked, longest) = (Duration::from_secs(asked), Duration::from_secs(300));
            let pause = backoff(failures, asked, longest, &Chance::new(seed));
            prop_assert!(pause >= asked && pause <= asked.max(longest) + longest);
        }

        #[test]
        fn what_has_no_end_is_asked_for_again_within_the_last_tenth_of_the_interval(
            interval in 60..86_400_u64, jitter in 0.0..1.0_f64,
        ) {
            let wait = refresh_after(&settings(interval, 30), None, Duration::MAX, jitter);
            let interval = Duration::from_secs(interval);
            prop_assert!(wait <= interval && wait >= interval * 9 / 10, "{wait:?}");
        }

        #[test]
        fn what_ends_is_asked_for_again_between_half_and_two_thirds_of_its_life(
            life in 60..100_000_u64, jitter in 0.0..1.0_f64,
        ) {
            let life = Duration::from_secs(life);
            for (its_own, keep) in [(Some(life), Duration::MAX), (None, life)] {
                let wait = refresh_after(&settings(1_000_000, 30), its_own, keep, jitter);
                prop_assert!(wait >= life / 2 && wait <= life * 2 / 3, "{wait:?}");
            }
        }

        #[test]
        fn nothing_is_asked_for_again_before_the_shortest_interval(
            life in prop::option::of(0..1_000_u64), keep in 0..1_000_u64, interval in 0..100_u64, least in 0..100_u64,
            jitter in 0.0..1.0_f64,
        ) {
            let keep = Duration::from_secs(keep);
            let settings = settings(interval, least);
            let wait = refresh_after(&settings, life.map(Duration::from_secs), keep, jitter);
            prop_assert!(wait >= settings.min_interval && wait >= SECOND);
        }
    }
}
