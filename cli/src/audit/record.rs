use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Map, Value};
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

use crate::cell::plain_json;

/// The members of an audit line, as columns. What a line has beside them is in its JSON alone.
pub const COLUMNS: [&str; 21] = [
    "timestamp",
    "action",
    "outcome",
    "reason",
    "source_ip",
    "request_id",
    "group",
    "subject",
    "bearer",
    "channel",
    "wants",
    "detail",
    "certificate",
    "serial",
    "certificate_subject",
    "ca",
    "policies",
    "session",
    "pool_id",
    "jti",
    "wire",
];

/// What a line of a log is.
#[derive(Clone, Debug)]
pub enum Line<'a> {
    /// An event.
    Event(Record<'a>),
    /// Something else, that a function or AWS Lambda logs.
    Other,
    /// It begins as an event may, and is none.
    Broken,
}

/// An event of the audit log.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    line: &'a str,
    time: OffsetDateTime,
    members: Map<String, Value>,
}

/// What tells an event from other lines.
#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    target: Value,
}

impl<'a> Line<'a> {
    /// Reads a line without its end.
    #[must_use]
    pub fn read(line: &'a str) -> Self {
        let line = line.trim();
        if !line.starts_with('{') {
            return Self::Other;
        }
        match serde_json::from_str::<Head>(line) {
            Ok(head) if head.target == "audit" => Record::read(line).map_or(Self::Broken, Self::Event),
            Ok(_) => Self::Other,
            Err(_) => Self::Broken,
        }
    }
}

impl<'a> Record<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let members: Map<String, Value> = serde_json::from_str(line).ok()?;
        let text = |name| members.get(name).and_then(Value::as_str);
        let time = OffsetDateTime::parse(text("timestamp")?, &Rfc3339).ok()?;
        text("action")?;
        text("outcome")?;
        // No time of four digits' years is lost.
        Some(Self { line, time: time.checked_to_offset(UtcOffset::UTC)?, members })
    }

    /// When it was.
    #[must_use]
    pub const fn time(&self) -> OffsetDateTime {
        self.time
    }

    /// A member's text: what is no text in its JSON form. Empty where it is absent.
    #[must_use]
    pub fn text(&self, member: &str) -> Cow<'_, str> {
        match self.members.get(member) {
            None | Some(Value::Null) => "".into(),
            Some(Value::String(text)) => text.into(),
            Some(other) => other.to_string().into(),
        }
    }

    /// The time, in RFC 3339 and UTC, to the second.
    #[must_use]
    pub fn seconds(&self) -> String {
        seconds(self.time)
    }

    /// The line as it was logged, with what a terminal would obey escaped.
    #[must_use]
    pub fn json(&self) -> Cow<'a, str> {
        plain_json(self.line)
    }

    /// Of whom it is: the subject, or else the group as tokens name it.
    #[must_use]
    pub fn who(&self) -> Cow<'_, str> {
        match (self.text("subject"), self.text("group")) {
            (subject, group) if subject.is_empty() && !group.is_empty() => format!("group:{group}").into(),
            (subject, _) => subject,
        }
    }

    /// What it was about, in few words.
    #[must_use]
    pub fn what(&self) -> String {
        let named = [
            ("", "wants"),
            ("by ", "bearer"),
            ("", "channel"),
            ("", "certificate_subject"),
            ("serial ", "serial"),
            ("", "detail"),
        ];
        let parts = named.map(|(name, member)| (name, self.text(member)));
        let parts = parts.iter().filter(|(_, text)| !text.is_empty()).map(|(name, text)| format!("{name}{text}"));
        parts.collect::<Vec<_>>().join(", ")
    }
}

/// A time, in RFC 3339 and UTC, to the second.
pub(super) fn seconds(time: OffsetDateTime) -> String {
    let whole = time.replace_nanosecond(0).unwrap_or(time);
    whole.format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use test_support::Log;
    use web::{Event, Outcome, audit};

    use super::*;

    const LINE: &str = r#"{"timestamp":"2026-01-02T03:04:05.678901Z","level":"INFO","action":"exchange","outcome":"granted","source_ip":"192.0.2.7","group":"web","wants":"secret:app/db","target":"audit"}"#;

    fn event(line: &str) -> Record<'_> {
        let Line::Event(record) = Line::read(line) else { panic!("no event: {line}") };
        record
    }

    #[test]
    fn an_event_is_told_from_what_else_is_logged() {
        let record = event(LINE);
        assert_eq!(
            (record.seconds().as_str(), record.text("source_ip").as_ref()),
            ("2026-01-02T03:04:05Z", "192.0.2.7")
        );
        assert_eq!((record.who().as_ref(), record.what().as_str()), ("group:web", "secret:app/db"));
        assert_eq!(record.json(), LINE);
        for other in [
            "",
            "START RequestId: 0b4a7d6e Version: $LATEST",
            "null",
            r#"["audit"]"#,
            r#"{"timestamp":"2026-01-02T03:04:05Z","level":"INFO","message":"target audit","target":"exchange"}"#,
            r#"{"target":["audit"]}"#,
            r#"{"a":1}"#,
        ] {
            assert!(matches!(Line::read(other), Line::Other), "{other}");
        }
    }

    #[test]
    fn a_line_that_is_cut_or_lacks_what_every_event_has_is_broken() {
        let deep = format!(r#"{{"target":"audit","a":{}{}}}"#, "[".repeat(500_000), "]".repeat(500_000));
        let twice = LINE.replace(r#""level":"INFO""#, r#""target":"token""#);
        for broken in [
            &LINE[..LINE.len() - 2],
            &LINE.replace("2026-01-02T", "yesterday "),
            &LINE.replace("action", "act"),
            &LINE.replace(r#""granted""#, "3"),
            &LINE.replace("2026", "-2026"),
            &deep,
            &twice,
            "{",
        ] {
            assert!(matches!(Line::read(broken), Line::Broken), "{}", &broken[..broken.len().min(200)]);
        }
    }

    #[test]
    fn members_that_are_no_texts_are_shown_as_they_are_written() {
        let line = LINE.replace(r#""secret:app/db""#, r#"[1,{"a":null}]"#).replace(r#""web""#, "null");
        assert_eq!(event(&line).text("wants"), r#"[1,{"a":null}]"#);
        assert_eq!((event(&line).text("group"), event(&line).who()), ("".into(), "".into()));
    }

    #[test]
    fn every_member_that_the_functions_write_has_a_column() {
        let log = Log::start();
        let some = Some("x");
        let whole = Event {
            reason: some,
            source_ip: Some("192.0.2.7".parse().unwrap()),
            group: some,
            subject: some,
            session: some,
            pool_id: some,
            jti: some,
            wire: some,
            wants: some,
            certificate: some,
            serial: some,
            certificate_subject: some,
            ca: some,
            policies: some,
            detail: some,
            bearer: some,
            channel: some,
            ..Event::new("exchange", Outcome::Granted, "request-1")
        };
        audit(&whole);
        let written = log.text();
        let record = event(&written);
        let of_the_log = ["level", "target"];
        let without = record
            .members
            .keys()
            .find(|name| !COLUMNS.contains(&name.as_str()) && !of_the_log.contains(&name.as_str()));
        assert_eq!(without, None);
        assert!(COLUMNS.iter().all(|name| !record.text(name).is_empty()));
    }
}
