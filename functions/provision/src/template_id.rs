use std::{fmt, str::FromStr};

/// The longest id.
const MAX_LENGTH: usize = 128;

/// The name of a provisioning template: 1 to 128 letters, digits, `_` and `-`, so that it names one object and no path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TemplateId(String);

/// A text that is no template's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a template's id: 1 to 128 letters, digits, _ and -")]
pub struct InvalidTemplateId;

impl TemplateId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key of its object.
    pub(crate) fn key(&self) -> String {
        format!("templates/{self}.json")
    }
}

impl FromStr for TemplateId {
    type Err = InvalidTemplateId;

    fn from_str(text: &str) -> Result<Self, InvalidTemplateId> {
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        // `assignments.json` lies beside them.
        let free = text != crate::assignments::NAME;
        if (1..=MAX_LENGTH).contains(&text.len()) && text.bytes().all(valid) && free {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidTemplateId)
        }
    }
}

impl fmt::Display for TemplateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
