use std::{str::FromStr, time::Duration};

/// A time span in words: `30s`, `5m`, `1h 30m`, `500ms`. At most ten years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeSpan(Duration);

/// Not a time span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a time span, such as 30s, 5m, 24h or 1h 30m, of at most ten years")]
pub struct InvalidTimeSpan;

/// Ten years: a use-by is a sum, and must not overflow.
const MAX: Duration = Duration::from_secs(3650 * 24 * 60 * 60);

impl TimeSpan {
    /// Units that a span is made of. Months and years have no length, and `M` is a minute to many.
    pub(super) const UNITS: [&str; 18] = [
        "ms", "s", "sec", "secs", "second", "seconds", "m", "min", "mins", "minute", "minutes", "h", "hour", "hours",
        "d", "day", "days", "w",
    ];

    /// The span.
    #[must_use]
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl FromStr for TimeSpan {
    type Err = InvalidTimeSpan;

    fn from_str(text: &str) -> Result<Self, InvalidTimeSpan> {
        let mut units = text.split(|byte: char| byte.is_ascii_digit() || byte == ' ').filter(|unit| !unit.is_empty());
        let known =
            text.ends_with(|last: char| last.is_ascii_alphabetic()) && units.all(|unit| Self::UNITS.contains(&unit));
        let duration = if known { humantime::parse_duration(text).ok() } else { None };
        duration.filter(|duration| *duration <= MAX).map(Self).ok_or(InvalidTimeSpan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_span_is_numbers_with_units() {
        for (text, milliseconds) in [
            ("0s", 0),
            ("500ms", 500),
            ("30s", 30_000),
            ("5m", 300_000),
            ("1h 30m", 5_400_000),
            ("1h30m", 5_400_000),
            ("24h", 86_400_000),
            ("1 day", 86_400_000),
            ("3650d", 315_360_000_000),
        ] {
            assert_eq!(text.parse::<TimeSpan>().unwrap().duration(), Duration::from_millis(milliseconds), "{text}");
        }
        for bad in ["", "0", "5", "-1s", "1.5h", "5M", "1y", "1month", "10ns", "soon", "3651d", "5m 3", "5m,3s", "٣s"]
        {
            assert_eq!(bad.parse::<TimeSpan>(), Err(InvalidTimeSpan), "{bad}");
        }
    }

    #[test]
    fn every_unit_is_one() {
        for unit in TimeSpan::UNITS {
            assert!(format!("2{unit}").parse::<TimeSpan>().is_ok(), "{unit}");
        }
    }
}
