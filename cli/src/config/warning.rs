use std::fmt;

use crate::config::{Config, Item, ItemName, OnChange, Source};

/// What a configuration says that it hardly means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// The child is restarted at each renewal of what is renewed all the time.
    RestartsOften(ItemName),
    /// A child that runs keeps what it was started with.
    KeepsTheOld(ItemName),
}

impl Config {
    /// What it says that it hardly means, an item each.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        self.items.iter().filter_map(|item| self.warning(item)).collect()
    }

    fn warning(&self, item: &Item) -> Option<Warning> {
        let is_at_the_start = item.variable.is_some() || item.stdin;
        match &self.on_change {
            Some(OnChange::Restart) if item.on_change && item.reaches_a_child() && item.source.is_renewed() => {
                Some(Warning::RestartsOften(item.name.clone()))
            }
            Some(OnChange::Signal(_)) | None if is_at_the_start && item.source.may_change() => {
                Some(Warning::KeepsTheOld(item.name.clone()))
            }
            Some(OnChange::Restart | OnChange::Signal(_) | OnChange::Run(_)) | None => None,
        }
    }
}

impl Source {
    /// Whether it is another one after less than an hour, whatever happens.
    const fn is_renewed(&self) -> bool {
        matches!(self, Self::Role { .. } | Self::AccessToken)
    }

    const fn may_change(&self) -> bool {
        !matches!(self, Self::Secret { version_id: Some(_), .. })
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RestartsOften(item) => write!(
                f,
                "{item} is renewed before each of its ends, and the command is restarted then: on_change = false of the item leaves it running"
            ),
            Self::KeepsTheOld(item) => write!(
                f,
                "a command that runs keeps the {item} that it was started with: a file, or on_change.restart = true, gives it a new one"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{ConfigFile, Given};

    fn warnings(text: &str) -> Vec<Warning> {
        let file = ConfigFile::parse(text, Path::new("/etc/countersign.toml")).unwrap();
        Config::new(Some(file), Given::default()).unwrap().warnings()
    }

    #[test]
    fn a_restart_by_what_is_renewed_is_warned_of_unless_it_is_not_told_of() {
        let of = |item: &str| warnings(&format!("on_change.restart = true\nitems.a = {{ {item} }}"));
        let often = vec![Warning::RestartsOften("a".parse().unwrap())];
        assert_eq!(of("role = 'r', env = 'AWS'"), often);
        assert_eq!(of("access_token = true, file = { path = 'a' }"), often);
        for silent in ["role = 'r', env = 'AWS', on_change = false", "role = 'r'", "secret = 's', env = 'A'"] {
            assert_eq!(of(silent), [], "{silent}");
        }
    }

    #[test]
    fn a_variable_that_can_not_change_below_its_command_is_warned_of() {
        let keeps = vec![Warning::KeepsTheOld("a".parse().unwrap())];
        for on_change in ["", "on_change.signal = 'HUP'"] {
            let of = |item: &str| warnings(&format!("{on_change}\nitems.a = {{ {item} }}"));
            assert_eq!(of("secret = 's', env = 'A'"), keeps);
            assert_eq!(of("secret = 's', stdin = true"), keeps);
            assert_eq!(of("secret = 's', file = { path = 'a' }"), []);
            assert_eq!(of("secret = 's', version_id = '0f5d3a3e-2f0b-4d5e-9a80-6a1b0e8f7c11', env = 'A'"), []);
        }
        assert_eq!(warnings("on_change.run = ['x']\nitems.a = { secret = 's', env = 'A' }"), []);
    }
}
