use std::str::FromStr;

/// How long a token is to live, in whole seconds: `90s`, `4h`, `7d`, `1h 30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lifetime(u32);

/// A text that is no lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a time in whole seconds, such as 90s, 4h or 7d")]
pub struct InvalidLifetime;

impl Lifetime {
    /// The lifetime, in seconds: 1 to 4294967295.
    #[must_use]
    pub const fn seconds(self) -> u32 {
        self.0
    }
}

impl FromStr for Lifetime {
    type Err = InvalidLifetime;

    fn from_str(text: &str) -> Result<Self, InvalidLifetime> {
        // "30M" is thirty months to humantime, and to nobody else.
        let time = humantime::parse_duration(text).ok().filter(|_| !text.contains('M')).ok_or(InvalidLifetime)?;
        let seconds = u32::try_from(time.as_secs()).ok().filter(|seconds| *seconds > 0 && time.subsec_nanos() == 0);
        seconds.map(Self).ok_or(InvalidLifetime)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_is_whole_seconds_and_some() {
        for (text, seconds) in
            [("90s", 90), ("4h", 14_400), ("7d", 604_800), ("1h 30m", 5_400), ("4294967295s", u32::MAX)]
        {
            assert_eq!(text.parse::<Lifetime>().unwrap().seconds(), seconds, "{text}");
        }
        for bad in ["", "0s", "4", "-1h", "500ms", "1s 1ms", "30M", "4294967296s", "soon"] {
            assert_eq!(bad.parse::<Lifetime>(), Err(InvalidLifetime), "{bad}");
        }
    }
}
