use std::time::Duration;

use protocol::{Answer, Want};

use crate::Error;

/// What gives: the broker, or what stands in for it.
pub trait Exchange: Send + Sync + 'static {
    /// Asks once for everything in `wants`. It does not try again, except with new material where it was refused.
    ///
    /// # Errors
    /// [`Failure`].
    fn exchange(&self, wants: &[Want]) -> impl Future<Output = Result<Answer, Failure>> + Send;

    /// Pulls material where the broker has a newer generation than this machine; whether it did.
    ///
    /// # Errors
    /// What the last try ended with. What is there can still be used.
    fn follow_rotation(&self) -> impl Future<Output = Result<bool, Error>> + Send;

    /// How often it pulled material so far.
    fn pulls(&self) -> u64 {
        0
    }
}

/// Why one try gave nothing.
#[derive(Debug)]
pub enum Failure {
    /// One want is not given; the others may be without it.
    OfWant {
        /// Which one, counted from 0.
        want: usize,
        /// Why.
        error: Error,
    },
    /// The broker asks to be left alone for a while.
    Throttled {
        /// What it said.
        error: Error,
        /// How long.
        retry_after: Option<Duration>,
    },
    /// It was not reached or could not answer; a later try may.
    Unavailable {
        /// Why.
        error: Error,
        /// How long it asks to wait.
        retry_after: Option<Duration>,
    },
    /// Nothing about the broker or the network: another try would most likely end alike.
    ForGood(Error),
}

impl Failure {
    /// Why.
    #[must_use]
    pub const fn error(&self) -> &Error {
        match self {
            Self::OfWant { error, .. }
            | Self::Throttled { error, .. }
            | Self::Unavailable { error, .. }
            | Self::ForGood(error) => error,
        }
    }

    /// The error alone.
    #[must_use]
    pub fn into_error(self) -> Error {
        match self {
            Self::OfWant { error, .. }
            | Self::Throttled { error, .. }
            | Self::Unavailable { error, .. }
            | Self::ForGood(error) => error,
        }
    }
}
