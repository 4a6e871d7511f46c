//! The log of what stays: `countersign exec` and `countersign agent`. On standard error: lines for a person on a terminal, else
//! one JSON object per line.

use std::{
    env, fmt,
    io::{IsTerminal as _, stderr},
};

use ports::{Clock as _, SystemClock};
use tracing::{Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    filter::Targets,
    fmt::{MakeWriter, format::Writer, layer, time::FormatTime},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::{commands::usage, progress};

const VARIABLE: &str = "COUNTERSIGN_LOG";

/// Starts the log, once. `COUNTERSIGN_LOG` (`error`, `warn`, `info`, `debug`; by default `info`) is the level of Countersign's own
/// crates; another text ends the process as wrong usage. Libraries are held at `warn`: at lower levels they may log what they
/// send and receive. AWS's are not heard at all: where they look for credentials, they warn with the answers, whole.
pub(crate) fn start() {
    let given = env::var(VARIABLE).ok().filter(|level| !level.is_empty());
    let level = given.map_or(Some(LevelFilter::INFO), |level| self::level(&level));
    let Some(level) = level else { usage(&format!("{VARIABLE} is none of error, warn, info and debug")) };
    if stderr().is_terminal() {
        let lines = || {
            progress::make_room();
            stderr()
        };
        for_a_person(level, lines).init();
    } else {
        for_a_machine(level, stderr).init();
    }
}

fn level(text: &str) -> Option<LevelFilter> {
    match text {
        "error" => Some(LevelFilter::ERROR),
        "warn" => Some(LevelFilter::WARN),
        "info" => Some(LevelFilter::INFO),
        "debug" => Some(LevelFilter::DEBUG),
        _ => None,
    }
}

fn for_a_person<W>(level: LevelFilter, writer: W) -> impl Subscriber
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = layer().with_target(false).with_timer(TimeOfDay).with_writer(writer);
    tracing_subscriber::registry().with(lines).with(targets(level))
}

fn for_a_machine<W>(level: LevelFilter, writer: W) -> impl Subscriber
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = layer().json().flatten_event(true).with_current_span(false).with_span_list(false).with_writer(writer);
    tracing_subscriber::registry().with(lines).with(targets(level))
}

/// What is at which level. Our crates all begin with `countersign`.
fn targets(level: LevelFilter) -> Targets {
    Targets::new()
        .with_default(LevelFilter::WARN.min(level))
        .with_target("aws", LevelFilter::OFF)
        .with_target("countersign", level)
}

/// `12:34:56Z`: who watches knows the day.
struct TimeOfDay;

impl FormatTime for TimeOfDay {
    fn format_time(&self, w: &mut Writer<'_>) -> fmt::Result {
        let seconds = SystemClock.unix_seconds() % 86_400;
        write!(w, "{:02}:{:02}:{:02}Z", seconds / 3600, seconds / 60 % 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use tracing::subscriber::with_default;

    use super::*;
    use crate::written::Written;

    fn speak() {
        tracing::warn!(item = "db", tries = 2_u64, "not refreshed");
        tracing::debug!("due");
        tracing::info!(target: "hyper_util::client", "what a library says");
        tracing::warn!(target: "rustls", "what a library warns of");
        tracing::error!(target: "aws_config::imds::region", "what was answered, whole");
    }

    #[test]
    fn a_machine_reads_one_object_a_line() {
        let written = Written::default();
        with_default(for_a_machine(LevelFilter::INFO, written.clone()), speak);
        let lines: Vec<Value> = written.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2, "libraries are held at warn, and what is for debugging is not there");
        assert_eq!(lines[0]["level"], "WARN");
        assert_eq!(lines[0]["message"], "not refreshed");
        assert_eq!((&lines[0]["item"], &lines[0]["tries"]), (&"db".into(), &2.into()));
        assert!(lines[0]["timestamp"].is_string());
        assert_eq!(lines[1]["target"], "rustls");
    }

    #[test]
    fn a_person_reads_a_short_line() {
        let written = Written::default();
        with_default(for_a_person(LevelFilter::DEBUG, written.clone()), speak);
        let text = written.text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        let (time, line) = lines[0].split_once("Z ").unwrap();
        assert_eq!((time.len(), line.trim_start()), (8, "WARN not refreshed item=\"db\" tries=2"));
        assert!(lines[1].ends_with("DEBUG due"), "{text}");
    }

    #[test]
    fn libraries_are_never_louder_than_the_level() {
        let written = Written::default();
        with_default(for_a_machine(LevelFilter::ERROR, written.clone()), speak);
        assert_eq!(written.text(), "");
    }

    #[test]
    fn a_level_is_one_of_four_words() {
        for (text, expected) in [("error", LevelFilter::ERROR), ("debug", LevelFilter::DEBUG)] {
            assert_eq!(level(text), Some(expected));
        }
        for bad in ["trace", "INFO", "4", "off", " info", "countersign=debug"] {
            assert_eq!(level(bad), None, "{bad}");
        }
    }
}
