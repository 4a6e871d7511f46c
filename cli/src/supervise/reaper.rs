use rustix::{
    io::Errno,
    process::{Pid, WaitOptions, getpid, set_child_subreaper, wait},
};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::supervise::{End, SuperviseError};

/// Waits for every process that ends below this one: its children, and those that lost their parents.
///
/// Nothing else in the process may wait for a child; AWS's libraries do not, as long as `credentials-process` of aws-config is not
/// built in. As PID 1 of a container it is given orphans; elsewhere it asks for them
/// (`PR_SET_CHILD_SUBREAPER`), so that none is left to another who does not know of it.
#[derive(Debug)]
pub struct Reaper {
    children: Signal,
}

impl Reaper {
    /// Begins to be told of ends. Processes that ended before are not missed.
    ///
    /// # Errors
    /// [`SuperviseError::Signals`], [`SuperviseError::Process`].
    pub fn new() -> Result<Self, SuperviseError> {
        let children = signal(SignalKind::child()).map_err(SuperviseError::Signals)?;
        if !getpid().is_init() {
            let set = set_child_subreaper(Some(getpid()));
            set.map_err(|source| SuperviseError::Process { action: "become a subreaper", source: source.into() })?;
        }
        Ok(Self { children })
    }

    /// The next process that ended. May be dropped and called again; no end is lost by it.
    pub async fn next(&mut self) -> (Pid, End) {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => {
                    if let Some(end) = End::of(status) {
                        return (pid, end);
                    }
                }
                Err(Errno::INTR) => {}
                // Children that are running, or none: the signal tells of the next end. It is not missed: what came since the
                // last look is kept by the receiver.
                Ok(None) | Err(_) => {
                    self.children.recv().await;
                }
            }
        }
    }
}
