use std::net::IpAddr;

use access_token::Network;
use time::OffsetDateTime;

use super::Record;

/// How a request can end.
pub const OUTCOMES: [&str; 4] = ["granted", "refused", "denied", "failed"];

/// Which events are wanted: those that everything holds for. Of a list one is enough, and an empty one says nothing.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The actions. One that ends in `*` stands for all that begin so.
    pub actions: Vec<String>,
    /// The outcomes.
    pub outcomes: Vec<String>,
    /// The reasons.
    pub reasons: Vec<String>,
    /// The subject, or the bearer of a token.
    pub subject: Option<String>,
    /// Where the caller was.
    pub source: Option<Network>,
    /// From this time on.
    pub since: Option<OffsetDateTime>,
    /// Before this time.
    pub until: Option<OffsetDateTime>,
}

impl Filter {
    /// Whether this event is wanted.
    #[must_use]
    pub fn takes(&self, record: &Record<'_>) -> bool {
        let source = || record.text("source_ip").parse::<IpAddr>();
        self.since.is_none_or(|since| record.time() >= since)
            && self.until.is_none_or(|until| record.time() < until)
            && one_of(&self.actions, &record.text("action"))
            && one_of(&self.outcomes, &record.text("outcome"))
            && one_of(&self.reasons, &record.text("reason"))
            && self.subject.as_ref().is_none_or(|subject| *subject == record.who() || *subject == record.text("bearer"))
            && self.source.is_none_or(|network| source().is_ok_and(|source| network.contains(source)))
    }
}

fn one_of(wanted: &[String], text: &str) -> bool {
    let is = |wanted: &String| wanted.strip_suffix('*').map_or(wanted == text, |start| text.starts_with(start));
    wanted.is_empty() || wanted.iter().any(is)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::audit::Line;

    const LINE: &str = r#"{"timestamp":"2026-01-02T03:04:05.5Z","action":"enroll:token","outcome":"refused","reason":"wrong_code","source_ip":"2001:db8::7","subject":"alice","bearer":"SHA256:x","target":"audit"}"#;

    fn takes(filter: &Filter) -> bool {
        let Line::Event(record) = Line::read(LINE) else { panic!("no event") };
        filter.takes(&record)
    }

    #[test]
    fn an_event_is_wanted_where_everything_holds() {
        let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        let all = || Filter {
            actions: texts(&["exchange", "enroll:*"]),
            outcomes: texts(&["denied", "refused"]),
            reasons: texts(&["wrong_code"]),
            subject: Some("alice".into()),
            source: Some("2001:db8::/32".parse().unwrap()),
            since: Some(datetime!(2026-01-02 03:04:05.5 UTC)),
            until: Some(datetime!(2026-01-02 05:04:06 +2)),
        };
        assert!(takes(&Filter::default()) && takes(&all()));
        assert!(takes(&Filter { subject: Some("SHA256:x".into()), ..all() }));
        for (name, other) in [
            ("action", Filter { actions: texts(&["enroll", "enroll:challenge"]), ..all() }),
            ("outcome", Filter { outcomes: texts(&["granted"]), ..all() }),
            ("reason", Filter { reasons: texts(&["wrong"]), ..all() }),
            ("subject", Filter { subject: Some("ali".into()), ..all() }),
            ("source", Filter { source: Some("192.0.2.0/24".parse().unwrap()), ..all() }),
            ("since", Filter { since: Some(datetime!(2026-01-02 03:04:06 UTC)), ..all() }),
            ("until", Filter { until: Some(datetime!(2026-01-02 03:04:05.5 UTC)), ..all() }),
        ] {
            assert!(!takes(&other), "{name}");
        }
    }
}
