use std::{fmt, str::FromStr};

/// The name of a thing of AWS IoT: 1 to 128 of letters, digits and `:_-` (AWS IoT API, `CreateThing`), which a url's path holds as they
/// are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThingName(String);

/// The id of a bulk task: 1 to 64 of letters, digits and `-` (AWS IoT API, `StartThingRegistrationTask`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskId(String);

/// Why a text is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// It cannot be a thing's.
    #[error("not a thing's name: 1 to 128 of letters, digits and :_-")]
    Thing,
    /// It cannot be a task's.
    #[error("not a task's id: 1 to 64 of letters, digits and -")]
    Task,
}

impl ThingName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TaskId {
    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ThingName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if is_made_of(text, 128, b":_-") { Ok(Self(text.to_owned())) } else { Err(InvalidName::Thing) }
    }
}

impl FromStr for TaskId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if is_made_of(text, 64, b"-") { Ok(Self(text.to_owned())) } else { Err(InvalidName::Task) }
    }
}

impl fmt::Display for ThingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_made_of(text: &str, longest: usize, others: &[u8]) -> bool {
    (1..=longest).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || others.contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_within_their_part_of_a_path() {
        for name in ["lamp-1", "a:b_c", &"a".repeat(128)] {
            assert_eq!(name.parse::<ThingName>().unwrap().as_str(), name);
        }
        for name in ["", ".", "..", "a/b", "a b", "a%2fb", "a?b", "\u{e9}", &"a".repeat(129)] {
            assert_eq!(name.parse::<ThingName>(), Err(InvalidName::Thing), "{name}");
            assert_eq!(name.parse::<TaskId>(), Err(InvalidName::Task), "{name}");
        }
        assert_eq!("a:b".parse::<TaskId>(), Err(InvalidName::Task));
        assert_eq!("1b2c-3d".parse::<TaskId>().unwrap().to_string(), "1b2c-3d");
    }
}
