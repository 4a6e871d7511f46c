use std::{
    future::poll_fn,
    io::stdin,
    task::{Context, Poll},
};

use rustix::{
    io::Errno,
    process::{Signal, getpid, kill_process},
    termios::tcgetpgrp,
};
use tokio::signal::unix::{self, SignalKind, signal};

use crate::{
    config,
    supervise::{SuperviseError, end::code_of, signal_masks::SignalMasks},
};

/// What is passed on to a child.
const PASSED_ON: [Signal; 7] =
    [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM, Signal::USR1, Signal::USR2, Signal::WINCH];

/// What stops and continues. A terminal sends it to the whole group itself, and its default action is the right one.
const JOB_CONTROL: [Signal; 2] = [Signal::TSTP, Signal::CONT];

/// The signals of this process, which would else end it or, in PID 1, be lost.
///
/// A signal that this process was started to ignore, as by `nohup`, stays ignored, here and in what it starts.
#[derive(Debug)]
pub struct Signals {
    streams: Vec<(Signal, unix::Signal)>,
    on_terminal: bool,
}

impl Signals {
    /// Takes them over, from now to the end of the process.
    ///
    /// # Errors
    /// [`SuperviseError::Signals`].
    pub fn listen() -> Result<Self, SuperviseError> {
        let on_terminal = is_on_terminal();
        let job_control = if on_terminal { &[][..] } else { &JOB_CONTROL };
        let masks = SignalMasks::of(None).unwrap_or_default();
        let listen = |number: &Signal| Ok((*number, signal(SignalKind::from_raw(number.as_raw()))?));
        let wanted = PASSED_ON.iter().chain(job_control).filter(|signal| !masks.ignores(**signal));
        let streams = wanted.map(listen).collect::<Result<_, _>>().map_err(SuperviseError::Signals)?;
        Ok(Self { streams, on_terminal })
    }

    /// Whether a terminal sends signals to this process and to what it starts.
    #[must_use]
    pub const fn is_on_terminal(&self) -> bool {
        self.on_terminal
    }

    /// The next signal. May be dropped and called again.
    pub async fn next(&mut self) -> Signal {
        poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Signal> {
        for (signal, stream) in &mut self.streams {
            if stream.poll_recv(context).is_ready() {
                return Poll::Ready(*signal);
            }
        }
        Poll::Pending
    }

    /// Waits for a signal that ends a process which does not do otherwise, and gives the exit code that tells of it. A stop is
    /// obeyed meanwhile; what else comes is for a child that is not there yet, and is dropped.
    pub async fn end(&mut self) -> u8 {
        loop {
            match self.next().await {
                signal @ (Signal::HUP | Signal::INT | Signal::QUIT | Signal::TERM) => return code_of(signal),
                Signal::TSTP => stop(),
                _ => {}
            }
        }
    }

    /// The exit code for a signal that ends, where one has come that was not looked at.
    pub async fn ended(&mut self) -> Option<u8> {
        tokio::select! {
            biased;
            code = self.end() => Some(code),
            // In between the runtime looks at what the operating system has.
            () = tokio::task::yield_now() => None,
        }
    }
}

/// Stops this process until it is continued. PID 1 can not be stopped, and goes on.
pub(crate) fn stop() {
    if let Err(error) = kill_process(getpid(), Signal::STOP) {
        tracing::debug!(%error, "not stopped");
    }
}

/// The operating system's name of a signal.
pub(crate) const fn number(signal: config::Signal) -> Signal {
    match signal {
        config::Signal::Hup => Signal::HUP,
        config::Signal::Int => Signal::INT,
        config::Signal::Quit => Signal::QUIT,
        config::Signal::Term => Signal::TERM,
        config::Signal::Usr1 => Signal::USR1,
        config::Signal::Usr2 => Signal::USR2,
        config::Signal::Winch => Signal::WINCH,
    }
}

/// Whether standard input is the terminal that controls this process.
fn is_on_terminal() -> bool {
    // `OPNOTSUPP`: it is, and its foreground group is of another PID namespace.
    matches!(tcgetpgrp(stdin()), Ok(_) | Err(Errno::OPNOTSUPP))
}
