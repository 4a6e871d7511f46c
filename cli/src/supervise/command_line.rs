use std::{
    ffi::{OsStr, OsString},
    fmt,
    os::unix::process::CommandExt as _,
    process::{Command, Stdio},
};

use rustix::process::Pid;

use crate::supervise::{Child, Given, Stdin, SuperviseError};

/// A command: a program, by its path or as it is found in the `PATH` that it is given, and its arguments.
///
/// Arguments may hold secrets: `Debug` elides them.
#[derive(Clone)]
pub struct CommandLine {
    program: OsString,
    arguments: Vec<OsString>,
}

/// Whose signals a process gets besides its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessGroup {
    /// Those of a group of its own, which it leads.
    Own,
    /// Those of this process's group: what a terminal sends to it.
    Shared,
}

impl CommandLine {
    /// The first word is the program; `None` where there is none.
    #[must_use]
    pub fn new<W: Into<OsString>>(words: impl IntoIterator<Item = W>) -> Option<Self> {
        let mut words = words.into_iter().map(Into::into);
        Some(Self { program: words.next()?, arguments: words.collect() })
    }

    /// The program. Not secret.
    #[must_use]
    pub fn program(&self) -> &OsStr {
        &self.program
    }

    /// Puts the command in the place of this process: same PID, same open files, signals as at a fresh start. It comes back
    /// only where that fails, and standard input may be another one then.
    #[must_use]
    pub fn replace(&self, given: Given) -> SuperviseError {
        SuperviseError::of_program(&self.program, self.command(given).exec())
    }

    /// Starts the command. The [`Reaper`](crate::supervise::Reaper) waits for it.
    ///
    /// # Errors
    /// [`SuperviseError::NoCommand`], [`SuperviseError::NotExecutable`].
    pub(crate) fn start(&self, given: Given, group: ProcessGroup) -> Result<Child, SuperviseError> {
        let mut command = self.command(given);
        if group == ProcessGroup::Own {
            command.process_group(0);
        }
        let child = command.spawn().map_err(|source| SuperviseError::of_program(&self.program, source))?;
        Ok(Child::new(Pid::from_child(&child), group))
    }

    /// The standard library gives it an empty signal mask and `SIGPIPE` as at a fresh start. Not wiped: its copy of the
    /// environment.
    fn command(&self, given: Given) -> Command {
        let Given { environment, stdin } = given;
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_clear().envs(environment.variables());
        match stdin {
            Stdin::Inherited => &mut command,
            Stdin::Nothing => command.stdin(Stdio::null()),
            Stdin::File(file) => command.stdin(Stdio::from(file)),
        };
        command
    }
}

impl fmt::Debug for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [elided]", self.program.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_not_shown() {
        let line = CommandLine::new(["mysql", "--password=hunter2"]).unwrap();
        assert_eq!(format!("{line:?}"), "mysql [elided]");
    }

    #[test]
    fn a_command_has_a_program() {
        assert!(CommandLine::new::<String>([]).is_none());
    }
}
