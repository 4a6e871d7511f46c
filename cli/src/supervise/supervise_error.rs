use std::{
    ffi::OsStr,
    io::{self, ErrorKind},
};

use crate::config::ItemName;

/// Why a command was not run, or not to its own end.
#[derive(Debug, thiserror::Error)]
pub enum SuperviseError {
    /// There is no such command.
    #[error("there is no command {program}")]
    NoCommand {
        /// Its name or path.
        program: String,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// There is such a command, and it was not started.
    #[error("the command {program} cannot be executed")]
    NotExecutable {
        /// Its name or path.
        program: String,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// The command was ended, since what it was given may not be used any more.
    #[error("item {0} is past its use-by, and the command was ended")]
    PastUseBy(ItemName),
    /// The operating system does not tell of signals.
    #[error("signals cannot be received")]
    Signals(#[source] io::Error),
    /// The operating system does not let this process be what a supervisor must be.
    #[error("cannot {action}")]
    Process {
        /// What was to be done.
        action: &'static str,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
}

impl SuperviseError {
    /// Why a program was not started.
    pub(crate) fn of_program(program: &OsStr, source: io::Error) -> Self {
        let program = program.display().to_string();
        if source.kind() == ErrorKind::NotFound {
            Self::NoCommand { program, source }
        } else {
            Self::NotExecutable { program, source }
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NoCommand { .. } => {
                "check its spelling and the PATH that it is given; a script's interpreter must be there, too".into()
            }
            Self::NotExecutable { .. } => "check its mode, and that it is a program of this machine's kind".into(),
            Self::PastUseBy(_) => "the log tells why the item was not had anew".into(),
            Self::Signals(_) | Self::Process { .. } => {
                "the limits of this process or a seccomp filter forbid it".into()
            }
        }
    }

    /// The exit code of the command: 127 and 126 as a shell gives them.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::NoCommand { .. } => 127,
            Self::NotExecutable { .. } => 126,
            Self::PastUseBy(_) => 7,
            Self::Signals(_) | Self::Process { .. } => 1,
        }
    }
}
