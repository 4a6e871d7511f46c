use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use protocol::Group;

use crate::{
    Origin,
    config::{
        FileMode, FileSink, Inherit, InvalidReference, Item, ItemName, OnChange, Source, VariableName,
        item_table::DEFAULT_KEEP, reference::split_path,
    },
};

/// What flags and variables say. It goes before the file, and its items come to those of the file.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// The group.
    pub group: Option<Group>,
    /// Where material is pulled from.
    pub from: Option<Origin>,
    /// The folder of the material.
    pub material: Option<PathBuf>,
    /// The broker's url.
    pub url: Option<String>,
    /// How long the start may take.
    pub timeout: Option<Duration>,
    /// What is asked for.
    pub items: Vec<GivenItem>,
    /// What is done on a change.
    pub on_change: Option<OnChange>,
    /// How long after it came a secret is asked for again.
    pub interval: Option<Duration>,
    /// Where the endpoint listens.
    pub listen: Option<SocketAddr>,
    /// Which variables a child inherits.
    pub inherit: Option<Inherit>,
}

/// An item in one line: where it goes, and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenItem {
    sink: GivenSink,
    source: Source,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum GivenSink {
    Variable(VariableName),
    File(PathBuf),
    Stdin,
}

/// Not an item in one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidGivenItem {
    /// Nothing is assigned.
    #[error("not NAME=REF, where REF is secret:ID, secret:ID#MEMBER, role:ALIAS or access-token")]
    Assignment,
    /// The variable has no such name.
    #[error("a variable's name is made of letters, digits and _, the first one no digit")]
    Variable,
    /// What it is.
    #[error(transparent)]
    Reference(#[from] InvalidReference),
}

impl GivenItem {
    /// Reads `NAME=REF`: the variable NAME, or of a role those that begin with it.
    ///
    /// # Errors
    /// [`InvalidGivenItem`].
    pub fn variable(text: &str) -> Result<Self, InvalidGivenItem> {
        let (name, source) = text.split_once('=').ok_or(InvalidGivenItem::Assignment)?;
        let name = name.parse().map_err(|_| InvalidGivenItem::Variable)?;
        Ok(Self { sink: GivenSink::Variable(name), source: source.parse()? })
    }

    /// Reads `PATH=REF`: the file PATH.
    ///
    /// # Errors
    /// [`InvalidGivenItem`].
    pub fn file(text: &str) -> Result<Self, InvalidGivenItem> {
        let (path, source) = split_path(text).or_else(|| text.rsplit_once('=')).ok_or(InvalidGivenItem::Assignment)?;
        Ok(Self { sink: GivenSink::File(path.into()), source: source.parse()? })
    }

    /// Reads `REF`: standard input.
    ///
    /// # Errors
    /// [`InvalidGivenItem`].
    pub fn stdin(text: &str) -> Result<Self, InvalidGivenItem> {
        Ok(Self { sink: GivenSink::Stdin, source: text.parse()? })
    }

    /// The item, by a name that none of `taken` is, and which it adds.
    pub(super) fn into_item(self, taken: &mut BTreeSet<ItemName>) -> Item {
        let Self { sink, source } = self;
        let base = match &sink {
            GivenSink::Variable(name) => name.as_str().to_owned(),
            GivenSink::File(path) => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            GivenSink::Stdin => "stdin".to_owned(),
        };
        let name = free_name(&base, taken);
        taken.insert(name.clone());
        let mut item =
            Item { name, source, variable: None, file: None, stdin: false, keep: DEFAULT_KEEP, on_change: true };
        match sink {
            GivenSink::Variable(name) => item.variable = Some(name),
            GivenSink::File(path) => {
                item.file = Some(FileSink { path, mode: FileMode::OWNER_READS, owner: None, template: None });
            }
            GivenSink::Stdin => item.stdin = true,
        }
        item
    }
}

/// Makes a text fit an item's name, and appends a number where that one is taken.
fn free_name(text: &str, taken: &BTreeSet<ItemName>) -> ItemName {
    let lower = text.to_ascii_lowercase();
    let fit = |letter: char| if letter.is_ascii_alphanumeric() || letter == '_' { letter } else { '-' };
    let fitting: String = lower.chars().map(fit).skip_while(|letter| !letter.is_ascii_alphabetic()).take(56).collect();
    let base = Some(fitting.trim_end_matches(['-', '_'])).filter(|base| !base.is_empty()).unwrap_or("item");
    let numbered = (2_u32..).map(|number| format!("{base}-{number}"));
    let mut names = std::iter::once(base.to_owned()).chain(numbered).filter_map(|name| ItemName::from_str(&name).ok());
    names.find(|name| !taken.contains(name)).expect("there are more numbers than items")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::InvalidItem;

    fn name(text: &str, taken: &[&str]) -> String {
        free_name(text, &taken.iter().map(|name| name.parse().unwrap()).collect()).to_string()
    }

    #[test]
    fn names_are_made_to_fit_and_free() {
        for (text, taken, expected) in [
            ("DB_PASSWORD", &[][..], "db_password"),
            ("_TOKEN", &[], "token"),
            ("tls key.pem", &[], "tls-key-pem"),
            ("1", &[], "item"),
            ("Größe", &[], "gr--e"),
            ("..", &[], "item"),
            ("", &[], "item"),
            ("db", &["db"], "db-2"),
            ("db", &["db", "db-2"], "db-3"),
            (&"a".repeat(300), &[], &"a".repeat(56)),
        ] {
            assert_eq!(name(text, taken), expected, "{text}");
        }
    }

    #[test]
    fn items_in_one_line_say_where_they_go() {
        let mut taken = BTreeSet::new();
        let variable = GivenItem::variable("DB=secret:app/db#password").unwrap().into_item(&mut taken);
        assert_eq!(variable.variable.unwrap().as_str(), "DB");
        let file = GivenItem::file("/run/x=y/db=secret:app/db").unwrap().into_item(&mut taken);
        assert_eq!(file.file.unwrap().path, PathBuf::from("/run/x=y/db"));
        let stdin = GivenItem::stdin("access-token").unwrap().into_item(&mut taken);
        assert!(stdin.stdin);
        let names: Vec<_> = taken.iter().map(ItemName::as_str).collect();
        assert_eq!(names, ["db", "db-2", "stdin"]);
    }

    #[test]
    fn what_is_no_item_in_one_line_is_refused() {
        let bare = |text: &str| InvalidGivenItem::Reference(InvalidReference::Bare(text.into()));
        for (bad, error) in [
            ("DB", InvalidGivenItem::Assignment),
            ("1DB=secret:app/db", InvalidGivenItem::Variable),
            ("=secret:app/db", InvalidGivenItem::Variable),
            ("A=app/db", bare("app/db")),
            ("A=secret:a b", InvalidGivenItem::Reference(InvalidItem::Secret.into())),
        ] {
            assert_eq!(GivenItem::variable(bad), Err(error), "{bad}");
        }
        assert_eq!(GivenItem::file("db"), Err(InvalidGivenItem::Assignment));
        assert_eq!(GivenItem::file("a=b=app/db"), Err(bare("app/db")));
        let form = InvalidGivenItem::Reference(InvalidReference::Form);
        assert_eq!(GivenItem::stdin("DB=secret:app/db"), Err(form));
    }
}
