use std::{net::IpAddr, path::PathBuf};

use clap::{ValueEnum, builder::PossibleValuesParser};
use countersign::{
    Network,
    audit::{FUNCTIONS, OUTCOMES},
    config::TimeSpan,
};
use ports::{Clock as _, SystemClock};
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

/// Read the audit log: who asked for what, from where, and how it ended. For operators.
///
/// It reads the logs of the stack's functions in Amazon CloudWatch Logs, of the last 24 hours unless
/// --since says otherwise, or lines from a file. What is no audit event is passed over; lines that
/// begin as one and are damaged are counted on standard error. Filters that are given more than once
/// take what one of them takes; filters of several kinds take what all of them take.
///
/// The formats: a table; CSV with every member of an event, for spreadsheets and pandas; JSON, one
/// object a line, as it was logged. Callers choose parts of what is logged: tables and CSV show
/// control characters as ?, and in CSV an apostrophe goes before what a spreadsheet would reckon.
///
/// --top prints the sources of most requests instead: those that were refused, unless --outcome says
/// otherwise. A source is an IPv4 address or the /64 network of an IPv6 address.
///
/// AWS credentials come from where the AWS SDKs look for them. They need logs:FilterLogEvents on
/// log-group:/aws/lambda/STACK-*.
///
/// Examples:
///   countersign audit --since 1h --outcome refused
///   countersign audit --function enroll --action 'enroll:*' --source 198.51.100.0/24
///   countersign audit --since 2026-01-01T00:00:00Z --format csv --separator ';' > audit.csv
///   countersign audit --file audit.jsonl --top 10
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Audit {
    /// A file of log lines in place of CloudWatch Logs; - is standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "function")]
    pub(crate) file: Option<PathBuf>,
    /// The deployment's stack.
    #[arg(long, env = "COUNTERSIGN_STACK", default_value = "countersign")]
    pub(crate) stack: String,
    /// The functions whose logs are read [default: all].
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(FUNCTIONS), hide_possible_values = true)]
    pub(crate) function: Vec<String>,
    /// From this time on: 1h, 7d, or in RFC 3339 [default: of CloudWatch Logs 24h, of a file all].
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) since: Option<OffsetDateTime>,
    /// Before this time.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) until: Option<OffsetDateTime>,
    /// What was attempted, as token or enroll:token; enroll:* are all that begin so.
    #[arg(long, value_name = "ACTION")]
    pub(crate) action: Vec<String>,
    /// How it ended: granted, refused, denied or failed.
    #[arg(long, value_parser = PossibleValuesParser::new(OUTCOMES), hide_possible_values = true)]
    pub(crate) outcome: Vec<String>,
    /// Whom it was about, as alice, SHA256:... or group:web; or whose token was shown.
    #[arg(long)]
    pub(crate) subject: Option<String>,
    /// Where it came from: an address, or a network as ADDRESS/LENGTH.
    #[arg(long, value_name = "ADDRESS|NETWORK", value_parser = source)]
    pub(crate) source: Option<Network>,
    /// Why it ended so, as wrong_code; wrong_* are all that begin so.
    #[arg(long, value_name = "REASON")]
    pub(crate) reason: Vec<String>,
    /// Print this many sources of requests, those of most first.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) top: Option<u16>,
    /// What is printed: table, csv or json.
    #[arg(long, value_enum, default_value_t, hide_possible_values = true)]
    pub(crate) format: AuditFormat,
    /// What stands between the cells of CSV: one character, or tab [default: ,].
    #[arg(long, value_name = "CHARACTER", value_parser = separator, allow_hyphen_values = true)]
    pub(crate) separator: Option<u8>,
}

/// How events are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum AuditFormat {
    #[default]
    Table,
    Csv,
    Json,
}

fn source(text: &str) -> Result<Network, String> {
    match text.parse::<IpAddr>() {
        Ok(address) => Ok(Network::of(address)),
        Err(_) => text.parse().map_err(|error: <Network as std::str::FromStr>::Err| error.to_string()),
    }
}

/// A time in RFC 3339, or how long ago it is.
fn time(text: &str) -> Result<OffsetDateTime, String> {
    if let Ok(time) = OffsetDateTime::parse(text, &Rfc3339) {
        return Ok(time);
    }
    let span = text.parse().map(TimeSpan::duration).ok().and_then(|span| Duration::try_from(span).ok());
    let now = Duration::try_from(SystemClock.now()).ok().map(|now| OffsetDateTime::UNIX_EPOCH + now);
    now.zip(span)
        .and_then(|(now, span)| now.checked_sub(span))
        .ok_or_else(|| "neither a time span, such as 1h or 7d, nor a time, such as 2026-01-02T03:04:05Z".into())
}

/// One character that is not part of what is separated.
fn separator(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"tab" | b"\\t" | b"\t" => Ok(b'\t'),
        [character] if character.is_ascii_punctuation() && !b"\"'".contains(character) => Ok(*character),
        _ => Err("one of the characters , ; | and their like, or tab".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_span_before_now_or_in_rfc_3339() {
        let ago = |text: &str| {
            let time = time(text).unwrap();
            (OffsetDateTime::now_utc() - time).whole_seconds()
        };
        assert!((3_600..3_610).contains(&ago("1h")) && (90..100).contains(&ago("1m 30s")));
        assert_eq!(time("2026-01-02T03:04:05+02:00").unwrap(), time("2026-01-02T01:04:05Z").unwrap());
        for bad in ["", "yesterday", "2026-01-02", "2026-01-02 03:04", "-1h", "2026-13-02T03:04:05Z"] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_source_is_an_address_or_a_network() {
        let alone: Network = "192.0.2.7/32".parse().unwrap();
        assert_eq!((source("192.0.2.7"), source("192.0.2.7/32")), (Ok(alone), Ok(alone)));
        assert!(source("2001:db8::/32").is_ok() && source("::1").is_ok());
        for bad in ["", "example.com", "192.0.2.7/24", "192.0.2.7/33"] {
            assert!(source(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_separator_is_one_character_that_cells_are_not_quoted_with() {
        for (text, byte) in [(",", b','), (";", b';'), ("|", b'|'), ("tab", b'\t'), ("\\t", b'\t'), ("\t", b'\t')] {
            assert_eq!(separator(text), Ok(byte));
        }
        for bad in ["", "\"", "'", ",,", "a", "1", "\n", "é", " "] {
            assert!(separator(bad).is_err(), "{bad}");
        }
    }
}
