use std::fmt;

use rustix::process::{Signal, WaitStatus};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself, with this exit code.
    Exited(u8),
    /// By a signal of this number.
    Killed(u8),
}

impl End {
    /// What the operating system says of a process, if it ended.
    pub(crate) fn of(status: WaitStatus) -> Option<Self> {
        let number = |number: i32| u8::try_from(number).unwrap_or(u8::MAX);
        status.exit_status().map(number).map(Self::Exited).or(status.terminating_signal().map(number).map(Self::Killed))
    }

    /// Whether the process says that it did what it was to do.
    #[must_use]
    pub fn is_success(self) -> bool {
        self == Self::Exited(0)
    }

    /// The exit code that tells of it: 128 and the signal's number where a signal ended it.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Exited(code) => code,
            Self::Killed(signal) => 128_u8.saturating_add(signal),
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exit code {code}"),
            Self::Killed(signal) => write!(f, "signal {signal}"),
        }
    }
}

/// The exit code of a process that ends because of this signal.
pub(crate) fn code_of(signal: Signal) -> u8 {
    End::Killed(u8::try_from(signal.as_raw()).unwrap_or(u8::MAX)).exit_code()
}
