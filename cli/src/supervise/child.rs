use std::time::Duration;

use rustix::{
    io::Errno,
    process::{Pid, Signal, kill_process, kill_process_group},
};

use tokio::time::Instant;

use crate::supervise::{ProcessGroup, signal_masks::SignalMasks};

/// How long a process that does nothing about a signal may still be about to.
const BEGINS_WITHIN: Duration = Duration::from_secs(30);

/// A process that was started here and has not been waited for, so that its PID is no other's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Child {
    pid: Pid,
    group: ProcessGroup,
    started: Instant,
}

impl Child {
    /// A process that has just been started.
    pub(crate) fn new(pid: Pid, group: ProcessGroup) -> Self {
        Self { pid, group, started: Instant::now() }
    }

    pub(crate) const fn pid(self) -> Pid {
        self.pid
    }

    /// Sends it a signal, and to no other process.
    pub(crate) fn signal(self, signal: Signal) {
        tell(kill_process(self.pid, signal), signal);
    }

    /// Whether it may be told something by a signal: it does something about it, or has had the time to.
    pub(crate) fn is_told_by(self, signal: Signal) -> bool {
        // By itself this one does nothing.
        signal == Signal::WINCH
            || self.started.elapsed() >= BEGINS_WITHIN
            || SignalMasks::of(Some(self.pid)).is_none_or(|masks| masks.heeds(signal))
    }

    /// Ends it at once, and what it started; on a terminal, whose group is this process's own, it alone.
    pub(crate) fn kill(self) {
        match self.group {
            ProcessGroup::Own => tell(kill_process_group(self.pid, Signal::KILL), Signal::KILL),
            ProcessGroup::Shared => self.signal(Signal::KILL),
        }
    }

    /// Ends what it started and left behind. To be called as soon as it was waited for: the group keeps the PID, and without
    /// one nobody has had the time to take it.
    pub(crate) fn kill_rest(self) {
        if self.group == ProcessGroup::Own {
            tell(kill_process_group(self.pid, Signal::KILL), Signal::KILL);
        }
    }
}

fn tell(sent: Result<(), Errno>, signal: Signal) {
    match sent {
        // `SRCH`: nothing is left.
        Ok(()) | Err(Errno::SRCH) => {}
        Err(error) => tracing::warn!(%error, signal = signal.as_raw(), "the signal is not sent"),
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_signal_that_would_end_a_process_waits_while_it_begins() {
        let mut process = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let child = Child::new(Pid::from_child(&process), ProcessGroup::Own);
        let told = [Signal::HUP, Signal::WINCH].map(|signal| child.is_told_by(signal));
        advance(BEGINS_WITHIN).await;
        let told_later = child.is_told_by(Signal::HUP);
        drop(process.stdin.take());
        process.wait().unwrap();
        assert_eq!((told, told_later), ([false, true], true));
    }
}
