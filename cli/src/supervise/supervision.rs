use std::{ops::ControlFlow, time::Duration};

use ports::chain;
use rustix::process::{Pid, Signal};
use tokio::time::Instant;

use crate::{
    Error,
    config::{AtUseBy, Item, ItemName, OnChange},
    refresh::Event,
    supervise::{
        Child, CommandLine, End, Given, Hook, ProcessGroup, Reaper, SuperviseError, Supervisor,
        end::code_of,
        files::at,
        signals::{number, stop},
    },
};

/// How long after a child could not be told by a signal it is looked whether it can.
const TELL_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// A supervisor and its child.
pub(crate) struct Supervision<'a> {
    supervisor: &'a mut Supervisor,
    group: ProcessGroup,
    stage: Stage,
    hook: Option<Hook>,
    /// Whether the child was asked from outside to end: it is not started again, and is told of nothing more.
    is_ending: bool,
    /// Whether the child was to be started anew with what is there now, and has not been.
    restart_is_due: bool,
    /// When it is looked again whether the child can be told of a change by a signal. `None`: there is nothing to tell.
    tell_again_at: Option<Instant>,
}

/// How the child stands.
enum Stage {
    Runs(Child),
    /// It was asked to end, and is killed at this time.
    Stops(Child, Reason, Option<Instant>),
    /// It has ended for a restart, and something that it needs is not there.
    Waits,
}

/// Why the child is stopped.
enum Reason {
    Restart,
    PastUseBy(ItemName),
}

/// What happened.
enum Happening {
    Signal(Signal),
    Ended(Pid, End),
    Event(Event),
    GraceIsOver,
    FilesAreDue,
    TellAgain,
}

/// Whether it goes on, or how it ends.
type Flow = ControlFlow<Result<u8, Error>>;

const GOES_ON: Flow = ControlFlow::Continue(());

impl<'a> Supervision<'a> {
    pub(crate) fn start(supervisor: &'a mut Supervisor) -> Result<Self, Error> {
        let group = if supervisor.signals.is_on_terminal() { ProcessGroup::Shared } else { ProcessGroup::Own };
        let hook = match &supervisor.on_change {
            Some(OnChange::Run(words)) => CommandLine::new(words).map(|line| Hook::new(line, group)),
            Some(OnChange::Signal(_) | OnChange::Restart) | None => None,
        };
        let stage = Stage::Runs(start_child(&supervisor.line, supervisor.given()?, group)?);
        Ok(Self { supervisor, group, stage, hook, is_ending: false, restart_is_due: false, tell_again_at: None })
    }

    pub(crate) async fn run(mut self, mut reaper: Reaper) -> Result<u8, Error> {
        let result = loop {
            let happening = self.next(&mut reaper).await;
            let flow = match happening {
                Happening::Signal(signal) => self.signal(signal),
                Happening::Ended(pid, end) => self.ended(pid, end),
                Happening::Event(Event::Changed(names)) => self.changed(&names),
                Happening::Event(Event::Ended(names)) => self.past_use_by(&names),
                Happening::GraceIsOver => self.kill(),
                Happening::FilesAreDue => self.tend(),
                Happening::TellAgain => {
                    self.tell();
                    GOES_ON
                }
            };
            if let ControlFlow::Break(result) = flow {
                break result;
            }
        };
        if let Some(hook) = &mut self.hook {
            hook.stop();
        }
        result
    }

    async fn next(&mut self, reaper: &mut Reaper) -> Happening {
        let kill_at = if let Stage::Stops(_, _, kill_at) = &self.stage { *kill_at } else { None };
        tokio::select! {
            signal = self.supervisor.signals.next() => Happening::Signal(signal),
            (pid, end) = reaper.next() => Happening::Ended(pid, end),
            Some(event) = self.supervisor.events.recv() => Happening::Event(event),
            () = at(kill_at) => Happening::GraceIsOver,
            () = self.supervisor.files.due() => Happening::FilesAreDue,
            () = at(self.tell_again_at) => Happening::TellAgain,
        }
    }

    /// A signal to this process.
    fn signal(&mut self, signal: Signal) -> Flow {
        let on_terminal = self.group == ProcessGroup::Shared;
        let stop_signal = number(self.supervisor.settings.stop_signal);
        let is_end = signal == Signal::TERM || signal == stop_signal;
        let child = match &self.stage {
            Stage::Runs(child) => {
                // Ctrl-C may end no more than what a person at a terminal waits for.
                self.is_ending |= is_end || signal == Signal::INT && !on_terminal;
                child
            }
            Stage::Stops(child, ..) => {
                self.is_ending |= is_end || [Signal::INT, Signal::QUIT].contains(&signal);
                child
            }
            Stage::Waits if is_end || ends_by_default(signal) => return ControlFlow::Break(Ok(code_of(signal))),
            Stage::Waits => return GOES_ON,
        };
        // A second signal to stop asks for nothing else, and who stops a container sends it to this process alone.
        if !(on_terminal && is_from_terminal(signal)) || signal == stop_signal {
            child.signal(signal);
        }
        if signal == Signal::TSTP {
            stop();
        }
        GOES_ON
    }

    /// A process ended below this one.
    fn ended(&mut self, pid: Pid, end: End) -> Flow {
        let supervisor = &*self.supervisor;
        if self.hook.as_mut().is_some_and(|hook| hook.ended(pid, end, || supervisor.variables())) {
            return GOES_ON;
        }
        match &self.stage {
            Stage::Runs(child) if child.pid() == pid => {
                tracing::info!(%end, "the command ended");
                ControlFlow::Break(Ok(end.exit_code()))
            }
            Stage::Stops(child, reason, _) if child.pid() == pid => {
                tracing::info!(%end, "the command ended");
                child.kill_rest();
                match reason {
                    Reason::PastUseBy(item) => ControlFlow::Break(Err(SuperviseError::PastUseBy(item.clone()).into())),
                    Reason::Restart if self.is_ending => ControlFlow::Break(Ok(end.exit_code())),
                    Reason::Restart => {
                        self.stage = Stage::Waits;
                        self.restart()
                    }
                }
            }
            Stage::Runs(_) | Stage::Stops(..) | Stage::Waits => {
                tracing::debug!(%end, pid = pid.as_raw_pid(), "an orphan ended");
                GOES_ON
            }
        }
    }

    /// Items changed, or came back.
    fn changed(&mut self, names: &[ItemName]) -> Flow {
        let Supervisor { files, holdings, .. } = &mut *self.supervisor;
        let rewritten = files.write_changed(names, holdings.items());
        let mut items = holdings.items().iter().filter(|item| item.on_change && names.contains(&item.name));
        if rewritten || items.any(is_given_at_the_start) {
            self.tell();
        }
        if self.restart_is_due { self.restart() } else { GOES_ON }
    }

    /// Files have ended, or are tried again.
    fn tend(&mut self) -> Flow {
        if self.supervisor.files.tend() {
            self.tell();
            if self.restart_is_due {
                return self.restart();
            }
        }
        GOES_ON
    }

    /// Does what is to be done where the child does not have what there is.
    fn tell(&mut self) {
        let waited = self.tell_again_at.take().is_some();
        if self.is_ending {
            return;
        }
        let supervisor = &*self.supervisor;
        match (&supervisor.on_change, &self.stage, &mut self.hook) {
            (Some(OnChange::Signal(signal)), Stage::Runs(child), _) => {
                let name = signal.name();
                if child.is_told_by(number(*signal)) {
                    tracing::info!(signal = name, "the command is told of a change");
                    child.signal(number(*signal));
                } else {
                    if !waited {
                        tracing::warn!(
                            signal = name,
                            "the command does nothing about the signal yet, and is told later"
                        );
                    }
                    self.tell_again_at = Some(Instant::now() + TELL_AGAIN_AFTER);
                }
            }
            (Some(OnChange::Run(_)), _, Some(hook)) => hook.changed(|| supervisor.variables()),
            (Some(OnChange::Restart), ..) => self.restart_is_due = true,
            (Some(OnChange::Signal(_) | OnChange::Run(_)) | None, ..) => {}
        }
    }

    /// Goes on with a restart that is due as far as it can be gone.
    fn restart(&mut self) -> Flow {
        if self.is_ending || matches!(self.stage, Stage::Stops(..)) {
            return GOES_ON;
        }
        let holdings = &self.supervisor.holdings;
        let missing = |item: &&Item| self.is_given(item) && holdings.value(&item.name).is_none();
        let missing = holdings.items().iter().find(missing);
        if let Some(Item { name, .. }) = missing {
            tracing::warn!(item = %name, "the restart waits: the item is past its use-by");
            return GOES_ON;
        }
        match &self.stage {
            Stage::Runs(child) => {
                // What could not be started again is not stopped.
                if let Err(error) = self.supervisor.variables() {
                    tracing::error!(error = chain(&error), "the restart waits for the next change");
                    return GOES_ON;
                }
                tracing::info!("the command is restarted");
                self.stop(*child, Reason::Restart);
                GOES_ON
            }
            Stage::Waits => match self.supervisor.given() {
                Err(error) => {
                    tracing::error!(error = chain(&error), "the restart waits for the next change");
                    GOES_ON
                }
                Ok(given) => match start_child(&self.supervisor.line, given, self.group) {
                    Ok(child) => {
                        self.stage = Stage::Runs(child);
                        self.restart_is_due = false;
                        GOES_ON
                    }
                    Err(error) => ControlFlow::Break(Err(error.into())),
                },
            },
            Stage::Stops(..) => GOES_ON,
        }
    }

    /// Whether the child is given an item: as it is, or by a template of another.
    fn is_given(&self, item: &Item) -> bool {
        item.reaches_a_child() || self.supervisor.files.delivery().speaks_of(&item.name)
    }

    /// Items may not be used any more.
    fn past_use_by(&mut self, names: &[ItemName]) -> Flow {
        self.supervisor.files.withdraw(names);
        let items = self.supervisor.holdings.items().iter();
        let given = items.filter(|item| names.contains(&item.name)).find(|item| self.is_given(item));
        let name = match (self.supervisor.settings.at_use_by, given) {
            (AtUseBy::Stop, Some(item)) => item.name.clone(),
            (AtUseBy::Stop, None) | (AtUseBy::Keep, _) => return GOES_ON,
        };
        match &mut self.stage {
            Stage::Runs(child) => {
                let child = *child;
                tracing::error!(item = %name, "the command is ended: the item is past its use-by");
                self.stop(child, Reason::PastUseBy(name));
            }
            Stage::Stops(_, reason, _) => *reason = Reason::PastUseBy(name),
            Stage::Waits => return ControlFlow::Break(Err(SuperviseError::PastUseBy(name).into())),
        }
        GOES_ON
    }

    /// Asks the child to end.
    fn stop(&mut self, child: Child, reason: Reason) {
        let settings = &self.supervisor.settings;
        child.signal(number(settings.stop_signal));
        self.stage = Stage::Stops(child, reason, Some(Instant::now() + settings.grace));
    }

    fn kill(&mut self) -> Flow {
        if let Stage::Stops(child, _, kill_at) = &mut self.stage {
            tracing::warn!("the command did not end in time, and is killed");
            *kill_at = None;
            child.kill();
        }
        GOES_ON
    }
}

fn start_child(line: &CommandLine, given: Given, group: ProcessGroup) -> Result<Child, SuperviseError> {
    let child = line.start(given, group)?;
    tracing::info!(program = %line.program().display(), pid = child.pid().as_raw_pid(), "the command is started");
    Ok(child)
}

/// Whether a running child can not see that the item changed unless it is told, or not even then.
const fn is_given_at_the_start(item: &Item) -> bool {
    item.variable.is_some() || item.stdin
}

/// Whether the signal is sent to end a process, and does where nothing is done about it.
fn ends_by_default(signal: Signal) -> bool {
    [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM].contains(&signal)
}

/// Whether a terminal sends the signal to the whole group in its foreground.
fn is_from_terminal(signal: Signal) -> bool {
    [Signal::INT, Signal::QUIT, Signal::WINCH].contains(&signal)
}
