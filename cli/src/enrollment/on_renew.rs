use std::{path::PathBuf, str::FromStr};

use rustix::process::{Pid, kill_process};

use crate::{
    Error,
    config::Signal,
    enrollment::EnrollmentError,
    material::{Closed, read},
    supervise::number,
};

/// The most that a file with a process's id may be, in bytes.
const MAX_PID_FILE_BYTES: usize = 64;

/// What is done after a renewal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OnRenew {
    /// A command is run.
    Run(Vec<String>),
    /// A process is sent a signal: this one, or the one that a file names at that time.
    Signal(Signal, Option<u32>),
}

/// Who gets a signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Receiver {
    /// The process of this id.
    Process(u32),
    /// The process whose id stands in this file, which is this user's or root's, and which no others can write.
    File(PathBuf),
}

/// Not what can be done after a renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not run:COMMAND, signal:NAME:PID, or signal:NAME with --pid-file")]
pub struct InvalidOnRenew;

impl FromStr for OnRenew {
    type Err = InvalidOnRenew;

    /// A command is split at white space.
    fn from_str(text: &str) -> Result<Self, InvalidOnRenew> {
        if let Some(command) = text.strip_prefix("run:") {
            let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
            return if words.is_empty() { Err(InvalidOnRenew) } else { Ok(Self::Run(words)) };
        }
        let signal = text.strip_prefix("signal:").ok_or(InvalidOnRenew)?;
        let (signal, process) = signal.split_once(':').map_or((signal, None), |(signal, pid)| (signal, Some(pid)));
        let process = process.map(|pid| pid.parse().ok().filter(|pid| *pid > 0).ok_or(InvalidOnRenew)).transpose()?;
        Ok(Self::Signal(signal.parse().map_err(|_| InvalidOnRenew)?, process))
    }
}

impl Receiver {
    /// Sends it a signal.
    ///
    /// # Errors
    /// [`EnrollmentError::NoProcess`], [`EnrollmentError::NoPid`], [`Error::NotOwned`], [`Error::OpenToOthers`].
    pub fn send(&self, signal: Signal) -> Result<(), Error> {
        let process = match self {
            Self::Process(process) => *process,
            Self::File(path) => {
                // Who else could write it would say whom this user's signals go to.
                let text = read(path, MAX_PID_FILE_BYTES, Some(Closed::ToWriting))?;
                let number = str::from_utf8(text.expose()).ok().and_then(|text| text.trim().parse().ok());
                number.ok_or_else(|| EnrollmentError::NoPid(path.clone()))?
            }
        };
        let pid = i32::try_from(process)
            .ok()
            .and_then(Pid::from_raw)
            .ok_or(EnrollmentError::NoProcess { process, source: std::io::ErrorKind::InvalidInput.into() })?;
        let sent = kill_process(pid, number(signal));
        sent.map_err(|source| EnrollmentError::NoProcess { process, source: source.into() }.into())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::{fs::PermissionsExt as _, process::ExitStatusExt as _},
        process::Command,
    };

    use super::*;
    use crate::closed;

    #[test]
    fn it_is_a_command_or_a_signal() {
        for (text, expected) in [
            ("run:nginx -s  reload", OnRenew::Run(vec!["nginx".into(), "-s".into(), "reload".into()])),
            ("signal:HUP:7", OnRenew::Signal(Signal::Hup, Some(7))),
            ("signal:USR1", OnRenew::Signal(Signal::Usr1, None)),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for bad in [
            "",
            "run:",
            "run: ",
            "signal:",
            "signal:KILL",
            "signal:HUP:",
            "signal:HUP:0",
            "signal:HUP:-1",
            "HUP",
            "restart",
        ] {
            assert_eq!(bad.parse::<OnRenew>(), Err(InvalidOnRenew), "{bad}");
        }
    }

    #[test]
    fn a_process_is_signalled_by_its_id_or_by_its_file() {
        let folder = closed::folder();
        let path = folder.path().join("pid");
        let sleeper = || Command::new("sleep").arg("60").spawn().unwrap();
        let (mut first, mut second) = (sleeper(), sleeper());
        Receiver::Process(first.id()).send(Signal::Usr1).unwrap();
        closed::write(&path, format!("{}\n", second.id()));
        Receiver::File(path.clone()).send(Signal::Usr2).unwrap();
        assert_eq!(first.wait().unwrap().signal(), Some(10));
        assert_eq!(second.wait().unwrap().signal(), Some(12));
        for text in ["", "0", "-1", "a", "99999999999"] {
            closed::write(&path, text);
            assert!(Receiver::File(path.clone()).send(Signal::Hup).is_err(), "{text}");
        }
    }

    #[test]
    fn a_file_that_others_may_write_or_that_never_ends_names_no_process() {
        let folder = closed::folder();
        let (path, pipe) = (folder.path().join("pid"), folder.path().join("pipe"));
        closed::write(&path, std::process::id().to_string());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        let refused = Receiver::File(path).send(Signal::Hup);
        assert!(matches!(refused, Err(Error::OpenToOthers { .. })), "{refused:?}");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let refused = Receiver::File(pipe).send(Signal::Hup);
        assert!(matches!(refused, Err(Error::Damaged { .. })), "{refused:?}");
    }
}
