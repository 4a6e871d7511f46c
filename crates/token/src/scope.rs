use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The longest scope, in characters.
const MAX_LENGTH: usize = 1024;

/// What a token is for: a set of scope tokens, written with one space between them (RFC 6749 section 3.3), in their
/// alphabetical order. It may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Scope(BTreeSet<String>);

/// A text that is no scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a scope: words of printable ASCII without quotes and backslashes, with one space between them")]
pub struct InvalidScope;

impl Scope {
    /// Whether this scope token is in it.
    #[must_use]
    pub fn contains(&self, token: &str) -> bool {
        self.0.contains(token)
    }

    /// Its scope tokens, in alphabetical order.
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Adds another's scope tokens; `Err` where that makes it longer than 1024 characters.
    ///
    /// # Errors
    /// [`InvalidScope`].
    pub fn and(mut self, other: Self) -> Result<Self, InvalidScope> {
        self.0.extend(other.0);
        if self.to_string().len() > MAX_LENGTH { Err(InvalidScope) } else { Ok(self) }
    }
}

impl FromStr for Scope {
    type Err = InvalidScope;

    fn from_str(text: &str) -> Result<Self, InvalidScope> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let is_token = |token: &str| {
            !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
        };
        if text.len() > MAX_LENGTH || !text.split(' ').all(is_token) {
            return Err(InvalidScope);
        }
        Ok(Self(text.split(' ').map(str::to_owned).collect()))
    }
}

impl TryFrom<String> for Scope {
    type Error = InvalidScope;

    fn try_from(text: String) -> Result<Self, InvalidScope> {
        text.parse()
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.to_string()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, token) in self.0.iter().enumerate() {
            f.write_str(if position == 0 { "" } else { " " })?;
            f.write_str(token)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_a_set_of_words() {
        let scope: Scope = "things:write things:read things:read".parse().unwrap();
        assert_eq!(scope.to_string(), "things:read things:write");
        assert!(scope.contains("things:read") && !scope.contains("things"));
        assert_eq!("".parse::<Scope>().unwrap().to_string(), "");
        for bad in [" ", "a  b", " a", "a ", "a\nb", "a\"b", "a\\b", "ä", &"a".repeat(1025)] {
            assert_eq!(bad.parse::<Scope>(), Err(InvalidScope), "{bad}");
        }
    }

    #[test]
    fn two_scopes_are_both() {
        let of = |text: &str| text.parse::<Scope>().unwrap();
        assert_eq!(of("b a").and(of("c a")).unwrap().to_string(), "a b c");
        assert_eq!(of(&"a".repeat(600)).and(of(&"b".repeat(600))), Err(InvalidScope));
    }
}
