use ports::chain;
use rustix::process::{Pid, Signal};

use crate::{
    Error,
    supervise::{Child, CommandLine, End, Environment, Given, ProcessGroup, Stdin},
};

/// A command that is run where something changed: at most once at a time. What changes meanwhile makes one more run, however
/// often it does. That it fails is logged, and matters to nothing else.
#[derive(Debug)]
pub struct Hook {
    line: CommandLine,
    group: ProcessGroup,
    running: Option<Child>,
    again: bool,
}

impl Hook {
    /// A command that has not run yet.
    #[must_use]
    pub const fn new(line: CommandLine, group: ProcessGroup) -> Self {
        Self { line, group, running: None, again: false }
    }

    /// Runs it with this environment, now or after the run that there is.
    pub fn changed(&mut self, environment: impl FnOnce() -> Result<Environment, Error>) {
        if self.running.is_some() {
            tracing::info!("the command on a change still runs; it is run once more after that");
            self.again = true;
            return;
        }
        let given = environment().map(|environment| Given { environment, stdin: Stdin::Nothing });
        let started = given.and_then(|given| Ok(self.line.start(given, self.group)?));
        match started {
            Ok(child) => self.running = Some(child),
            Err(error) => tracing::error!(error = chain(&error), "the command on a change is not run"),
        }
    }

    /// Whether it runs.
    #[must_use]
    pub const fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Takes note of an ended process; whether it was this command.
    pub fn ended(&mut self, pid: Pid, end: End, environment: impl FnOnce() -> Result<Environment, Error>) -> bool {
        if self.running.is_none_or(|child| child.pid() != pid) {
            return false;
        }
        self.running = None;
        if end.is_success() {
            tracing::info!("the command on a change is done");
        } else {
            tracing::error!(%end, "the command on a change failed");
        }
        if std::mem::take(&mut self.again) {
            self.changed(environment);
        }
        true
    }

    /// Asks it to end, where it runs.
    pub fn stop(&mut self) {
        self.again = false;
        if let Some(child) = self.running {
            child.signal(Signal::TERM);
        }
    }
}
