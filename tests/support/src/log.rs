use std::{
    io,
    sync::{Arc, Mutex},
};

use serde_json::Value;
use tracing::{Dispatch, Level, subscriber::DefaultGuard};

/// Everything that this thread logs while it lives, at every level, in the form that it has on AWS.
#[must_use = "nothing is logged once it is dropped"]
pub struct Log {
    lines: Lines,
    /// What nobody listens to is decided for the process by whoever says it first, where there is one log alone: another one.
    _other: Dispatch,
    _default: DefaultGuard,
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Begins to log.
    pub fn start() -> Self {
        let lines = Lines::default();
        let writer = lines.clone();
        let form = || tracing_subscriber::fmt().json().flatten_event(true).with_max_level(Level::TRACE);
        Self {
            lines,
            _other: Dispatch::new(form().with_writer(io::sink).finish()),
            _default: tracing::subscriber::set_default(form().with_writer(move || writer.clone()).finish()),
        }
    }

    /// All of it.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8(self.lines.0.lock().unwrap().clone()).unwrap()
    }

    /// Every audit event, the oldest first, less the members that every line of the log has.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        let text = self.text();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let mut events: Vec<Value> = lines.filter(|line| line["target"] == "audit").collect();
        for event in &mut events {
            for common in ["timestamp", "level", "target"] {
                event.as_object_mut().unwrap().remove(common);
            }
        }
        events
    }

    /// The last audit event.
    #[must_use]
    pub fn event(&self) -> Value {
        self.events().pop().unwrap()
    }

    /// Action, outcome and reason of the last audit event; no reason is an empty one.
    #[must_use]
    pub fn audited(&self) -> [String; 3] {
        let event = self.event();
        ["action", "outcome", "reason"].map(|name| event[name].as_str().unwrap_or_default().to_owned())
    }
}
