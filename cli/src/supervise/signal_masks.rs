use std::fs;

use rustix::process::{Pid, Signal};

/// Which signals a process does something about, as `/proc` tells (proc(5), `status`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SignalMasks {
    blocked: u64,
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
        Some(Self { blocked: mask("SigBlk:")?, ignored: mask("SigIgn:")?, caught: mask("SigCgt:")? })
    }

    /// Whether the process ignores the signal.
    pub(crate) fn ignores(self, signal: Signal) -> bool {
        has(self.ignored, signal)
    }

    /// Whether the system does with the process what the signal is for: it neither catches it nor ignores it, nor waits for it.
    pub(crate) fn leaves_to_the_system(self, signal: Signal) -> bool {
        !has(self.blocked | self.ignored | self.caught, signal)
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
        assert_eq!(masks, SignalMasks { blocked: 0x200, ignored: 0x1001, caught: 0x4000 });
        assert!(masks.ignores(Signal::HUP) && masks.ignores(Signal::PIPE) && !masks.ignores(Signal::TERM));
        for signal in [Signal::HUP, Signal::USR1, Signal::TERM] {
            assert!(!masks.leaves_to_the_system(signal));
        }
        assert!(masks.leaves_to_the_system(Signal::INT));
    }

    #[test]
    fn a_status_that_is_none_tells_nothing() {
        for bad in ["", "SigBlk:\t0\nSigIgn:\tx\nSigCgt:\t0\n", "SigBlk:\t0\nSigIgn:\t0\n"] {
            assert_eq!(SignalMasks::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn this_process_tells() {
        assert!(SignalMasks::of(None).unwrap().ignores(Signal::PIPE), "as the standard library has it");
    }
}
