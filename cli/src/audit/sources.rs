use std::{
    collections::{BTreeSet, HashMap, HashSet},
    hash::{BuildHasher as _, RandomState},
    net::{IpAddr, Ipv6Addr},
};

use serde::Serialize;
use time::OffsetDateTime;

use super::{Record, record::seconds};
use crate::plain::plain_within;

/// The columns of a [`Source`].
pub const SOURCE_COLUMNS: [&str; 7] = ["source", "requests", "first", "last", "actions", "reasons", "subjects"];

/// How many sources are kept; where there are more, those with the fewest requests are forgotten.
const MAX_SOURCES: usize = 1 << 16;

/// How many subjects are told apart, of all sources.
const MAX_SUBJECTS: usize = 1 << 20;

/// How many actions, and how many reasons, are kept of one source. The functions know a few dozen.
const MAX_WORDS: usize = 32;

/// Counts requests by where they came from: an IPv4 address, or the /64 of an IPv6 address, which is one customer's. Memory is bounded.
#[derive(Debug, Default)]
pub struct Sources {
    tallies: HashMap<Option<IpAddr>, Tally>,
    hasher: RandomState,
    subjects: usize,
    forgotten: u64,
}

#[derive(Debug)]
struct Tally {
    requests: u64,
    first: OffsetDateTime,
    last: OffsetDateTime,
    actions: BTreeSet<String>,
    reasons: BTreeSet<String>,
    // Hashes: callers choose subjects, and how long they are.
    subjects: HashSet<u64>,
}

/// What came from one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Source {
    /// Address or network; empty where the events have none.
    pub source: String,
    /// How many requests.
    pub requests: u64,
    /// When the first was, in RFC 3339.
    pub first: String,
    /// When the last was.
    pub last: String,
    /// What was attempted.
    pub actions: Vec<String>,
    /// Why it ended so.
    pub reasons: Vec<String>,
    /// How many subjects they named.
    pub subjects: usize,
}

impl Sources {
    /// Counts an event.
    pub fn count(&mut self, record: &Record<'_>) {
        let address = record.text("source_ip").parse().ok().map(place);
        if self.tallies.len() >= MAX_SOURCES && !self.tallies.contains_key(&address) {
            self.forget_few();
        }
        let time = record.time();
        let tally = self.tallies.entry(address).or_insert_with(|| Tally {
            requests: 0,
            first: time,
            last: time,
            actions: BTreeSet::new(),
            reasons: BTreeSet::new(),
            subjects: HashSet::new(),
        });
        tally.requests += 1;
        tally.first = tally.first.min(time);
        tally.last = tally.last.max(time);
        keep(&mut tally.actions, &record.text("action"));
        keep(&mut tally.reasons, &record.text("reason"));
        let subject = record.text("subject");
        if !subject.is_empty() && self.subjects < MAX_SUBJECTS && tally.subjects.insert(self.hasher.hash_one(subject)) {
            self.subjects += 1;
        }
    }

    /// The sources with the most requests, the most first.
    #[must_use]
    pub fn top(&self, number: usize) -> Vec<Source> {
        let mut tallies: Vec<_> = self.tallies.iter().collect();
        tallies.sort_by_key(|(address, tally)| (u64::MAX - tally.requests, **address));
        tallies.truncate(number);
        tallies.into_iter().map(|(address, tally)| Source::of(*address, tally)).collect()
    }

    /// How many requests were of sources that are not kept, since so many others had more.
    #[must_use]
    pub const fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Forgets the half with the fewest requests, and those that have no more than these.
    fn forget_few(&mut self) {
        let mut requests: Vec<u64> = self.tallies.values().map(|tally| tally.requests).collect();
        let middle = requests.len() / 2;
        let (_, few, _) = requests.select_nth_unstable(middle);
        let few = *few;
        let (subjects, forgotten) = (&mut self.subjects, &mut self.forgotten);
        self.tallies.retain(|_, tally| {
            let stays = tally.requests > few;
            if !stays {
                *subjects -= tally.subjects.len();
                *forgotten += tally.requests;
            }
            stays
        });
    }
}

impl Source {
    fn of(address: Option<IpAddr>, tally: &Tally) -> Self {
        Self {
            source: match address {
                None => String::new(),
                Some(IpAddr::V4(address)) => address.to_string(),
                Some(IpAddr::V6(network)) => format!("{network}/64"),
            },
            requests: tally.requests,
            first: seconds(tally.first),
            last: seconds(tally.last),
            actions: tally.actions.iter().cloned().collect(),
            reasons: tally.reasons.iter().cloned().collect(),
            subjects: tally.subjects.len(),
        }
    }

    /// The cells of [`SOURCE_COLUMNS`].
    #[must_use]
    pub fn cells(&self) -> [String; 7] {
        let Self { source, requests, first, last, actions, reasons, subjects } = self.clone();
        [source, requests.to_string(), first, last, actions.join(" "), reasons.join(" "), subjects.to_string()]
    }
}

fn place(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

fn keep(words: &mut BTreeSet<String>, word: &str) {
    if !word.is_empty() && !words.contains(word) && words.len() < MAX_WORDS {
        words.insert(plain_within(word, 40).into_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Line;

    fn count(sources: &mut Sources, source: &str, second: u32, reason: &str, subject: &str) {
        let line = format!(
            r#"{{"timestamp":"2026-01-02T03:04:{second:02}.5Z","action":"enroll:token","outcome":"refused","reason":"{reason}","source_ip":"{source}","subject":"{subject}","target":"audit"}}"#
        );
        let Line::Event(record) = Line::read(&line) else { panic!("no event") };
        sources.count(&record);
    }

    #[test]
    fn who_asks_most_comes_first_and_a_customers_addresses_are_one_source() {
        let mut sources = Sources::default();
        count(&mut sources, "192.0.2.9", 1, "rate", "alice");
        for (address, second, reason, subject) in [
            ("2001:db8::1", 3, "wrong_code", "alice"),
            ("2001:db8::2", 2, "tries", "alice"),
            ("2001:db8:0:0:ffff::3", 4, "wrong_code", "bob"),
        ] {
            count(&mut sources, address, second, reason, subject);
        }
        count(&mut sources, "::ffff:192.0.2.8", 5, "rate", "alice");
        count(&mut sources, "192.0.2.8", 6, "rate", "alice");
        count(&mut sources, "", 7, "rate", "");
        let top = sources.top(3);
        let first = Source {
            source: "2001:db8::/64".into(),
            requests: 3,
            first: "2026-01-02T03:04:02Z".into(),
            last: "2026-01-02T03:04:04Z".into(),
            actions: vec!["enroll:token".into()],
            reasons: vec!["tries".into(), "wrong_code".into()],
            subjects: 2,
        };
        assert_eq!(top[0], first);
        assert_eq!(first.cells()[4..], ["enroll:token", "tries wrong_code", "2"]);
        assert_eq!((top[1].source.as_str(), top[1].requests, top[1].subjects), ("192.0.2.8", 2, 1));
        assert_eq!((top[2].source.as_str(), top[2].requests, top.len()), ("", 1, 3));
    }

    #[test]
    fn many_sources_push_out_those_with_few_requests_alone() {
        let mut sources = Sources::default();
        for second in 0..5 {
            count(&mut sources, "192.0.2.9", second, "rate", "alice");
        }
        for number in 0..u32::try_from(2 * MAX_SOURCES).unwrap() {
            let source = Ipv6Addr::from_bits(u128::from(number) << 64);
            count(&mut sources, &source.to_string(), 9, "rate", &number.to_string());
        }
        assert!(sources.tallies.len() <= MAX_SOURCES);
        assert!(sources.forgotten() > 0);
        let held: usize = sources.tallies.values().map(|tally| tally.subjects.len()).sum();
        assert_eq!(sources.subjects, held);
        assert_eq!((sources.top(1)[0].source.as_str(), sources.top(1)[0].requests), ("192.0.2.9", 5));
    }

    #[test]
    fn words_of_one_source_are_bounded() {
        let mut sources = Sources::default();
        for number in 0..2 * MAX_WORDS {
            count(&mut sources, "192.0.2.9", 1, &format!("{number}{}", "x".repeat(10_000)), "");
        }
        let reasons = &sources.top(1)[0].reasons;
        assert!(reasons.len() == MAX_WORDS && reasons.iter().all(|reason| reason.chars().count() == 40));
    }
}
