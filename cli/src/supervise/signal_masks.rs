use std::fs;

use rustix::process::{Pid, Signal};

/// Which signals a process does something about, as `/proc` tells (proc(5), `status`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SignalMasks {
    ignored: u64,
    caught: u64,
}

impl SignalMasks {
    /// Those of a process, or of this one; none where `/proc` does not tell.
    pub(crate) fn of(pid: Option<Pid>) -> Option<Self> {
        let process = pid.map_or_else(|| "self".to_owned(), |pid| pid.as_raw_pid().to_string());
        Self::parse(&fs::read_to_string(format!("/proc/{process}/status")).ok()?)
    }

    fn parse(status: &str) -> Option<Self> {
        let mask = |name: &str| {
            let mask = status.lines().find_map(|line| line.strip_prefix(name))?;
            u64::from_str_radix(mask.trim(), 16).ok()
        };
        Some(Self { ignored: mask("SigIgn:")?, caught: mask("SigCgt:")? })
    }

    /// Whether the process ignores the signal.
    pub(crate) fn ignores(self, signal: Signal) -> bool {
        has(self.ignored, signal)
    }

    /// Whether the process catches or ignores the signal. Not seen: that it blocks it and waits for it.
    pub(crate) fn heeds(self, signal: Signal) -> bool {
        has(self.caught | self.ignored, signal)
    }
}

/// The lowest bit is that of signal 1.
fn has(mask: u64, signal: Signal) -> bool {
    mask >> (signal.as_raw() - 1) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_read_from_a_status() {
        let status = "Name:\tx\nSigPnd:\tffffffffffffffff\nSigBlk:\t0000000000000200\nSigIgn:\t0000000000001001\n\
                      SigCgt:\t0000000000004000\n";
        let masks = SignalMasks::parse(status).unwrap();
        assert_eq!(masks, SignalMasks { ignored: 0x1001, caught: 0x4000 });
        assert!(masks.ignores(Signal::HUP) && masks.ignores(Signal::PIPE) && !masks.ignores(Signal::TERM));
        assert!(masks.heeds(Signal::HUP) && masks.heeds(Signal::TERM) && !masks.heeds(Signal::USR1));
    }

    #[test]
    fn a_status_that_is_none_tells_nothing() {
        for bad in ["", "SigIgn:\tx\nSigCgt:\t0\n", "SigIgn:\t0\n"] {
            assert_eq!(SignalMasks::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn this_process_tells() {
        assert!(SignalMasks::of(None).unwrap().ignores(Signal::PIPE), "as the standard library has it");
    }
}
