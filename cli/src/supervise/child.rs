use rustix::{
    io::Errno,
    process::{Pid, Signal, kill_process, kill_process_group},
};

use crate::supervise::{ProcessGroup, signal_masks::SignalMasks};

/// A process that was started here and has not been waited for, so that its PID is no other's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Child {
    pid: Pid,
    group: ProcessGroup,
}

impl Child {
    pub(crate) const fn new(pid: Pid, group: ProcessGroup) -> Self {
        Self { pid, group }
    }

    pub(crate) const fn pid(self) -> Pid {
        self.pid
    }

    /// Sends it a signal, and to no other process.
    pub(crate) fn signal(self, signal: Signal) {
        tell(kill_process(self.pid, signal), signal);
    }

    /// Whether the signal would end it: it does nothing about it, or not yet.
    pub(crate) fn would_end_by(self, signal: Signal) -> bool {
        // By itself `WINCH` does nothing.
        let masks = SignalMasks::of(Some(self.pid));
        signal != Signal::WINCH && masks.is_some_and(|masks| masks.leaves_to_the_system(signal))
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
