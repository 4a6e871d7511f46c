use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use crate::channel::Channel;

/// When a request for a code is answered, so that the time does not tell whether one was sent.
///
/// Answers come at multiples of a grid after the request. One after which nothing was sent comes as late as the last one of its channel
/// after which something was: a receiver that always takes longer than the grid would tell otherwise.
#[derive(Debug)]
pub(crate) struct Pace {
    grid: Duration,
    /// How many times the grid the last sending of each channel took, in the order of [`Channel::ALL`].
    last: [AtomicU32; Channel::ALL.len()],
}

impl Pace {
    /// A pace of this grid; zero: answers come at once.
    pub(crate) const fn new(grid: Duration) -> Self {
        Self { grid, last: [const { AtomicU32::new(0) }; Channel::ALL.len()] }
    }

    /// How long to wait, so long after the request, where a code was sent by this channel.
    pub(crate) fn after_sending(&self, channel: Channel, elapsed: Duration) -> Duration {
        let ticks = self.ticks(elapsed);
        self.last[channel as usize].store(ticks, Ordering::Relaxed);
        self.until(ticks, elapsed)
    }

    /// How long to wait where none was sent, by the channel that was asked for, if any was.
    pub(crate) fn after_nothing(&self, channel: Option<Channel>, elapsed: Duration) -> Duration {
        let is_meant = |other: &Channel| channel.is_none_or(|channel| channel == *other);
        let last = Channel::ALL.into_iter().filter(is_meant).map(|it| self.last[it as usize].load(Ordering::Relaxed));
        self.until(self.ticks(elapsed).max(last.max().unwrap_or_default()), elapsed)
    }

    /// The next multiple.
    fn ticks(&self, elapsed: Duration) -> u32 {
        let whole = elapsed.as_nanos().checked_div(self.grid.as_nanos()).unwrap_or_default();
        u32::try_from(whole).unwrap_or(u32::MAX).saturating_add(1)
    }

    fn until(&self, ticks: u32, elapsed: Duration) -> Duration {
        self.grid.saturating_mul(ticks).saturating_sub(elapsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn answers_come_on_the_grid() {
        let pace = Pace::new(ms(1_000));
        for (elapsed, left) in [(0, 1_000), (1, 999), (999, 1), (1_000, 1_000), (1_300, 700)] {
            assert_eq!(pace.after_sending(Channel::Sms, ms(elapsed)), ms(left), "{elapsed}");
        }
        let at_once = Pace::new(Duration::ZERO);
        assert_eq!(at_once.after_sending(Channel::Sms, ms(5)), Duration::ZERO);
        assert_eq!(at_once.after_nothing(None, ms(5)), Duration::ZERO);
    }

    #[test]
    fn nothing_takes_as_long_as_something_by_the_same_channel() {
        let pace = Pace::new(ms(1_000));
        assert_eq!(pace.after_nothing(Some(Channel::Webhook), ms(100)), ms(900));
        assert_eq!(pace.after_sending(Channel::Webhook, ms(2_400)), ms(600));
        assert_eq!(pace.after_nothing(Some(Channel::Webhook), ms(100)), ms(2_900));
        assert_eq!(pace.after_nothing(Some(Channel::Mail), ms(100)), ms(900));
        assert_eq!(pace.after_nothing(None, ms(100)), ms(2_900), "whichever the older routes would have taken");
        assert_eq!(pace.after_nothing(Some(Channel::Webhook), ms(3_100)), ms(900));
        pace.after_sending(Channel::Webhook, ms(300));
        assert_eq!(pace.after_nothing(Some(Channel::Webhook), ms(100)), ms(900));
    }
}
