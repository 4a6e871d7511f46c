use std::{collections::BTreeMap, fmt};

use ports::ParseFiles;
use protocol::{AltName, SubjectName};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::channel::Channel;

/// The longest address of a webhook's, in characters: what it says is between operator and receiver.
const MAX_WEBHOOK_ADDRESS: usize = 256;

/// Where codes go: addresses by subject, from JSON files of the form
/// `{"alice": {"sms": "+391234567890", "mail": "alice@example.com", "webhook": "telegram:42"}}`.
///
/// It says who can be reached, and nothing of who may have a certificate.
#[derive(Debug, Default)]
pub struct Directory(BTreeMap<SubjectName, Addresses>);

/// Where one subject is reached. `Debug` shows none of them.
pub struct Addresses {
    sms: Option<String>,
    mail: Option<String>,
    webhook: Option<String>,
}

/// Why files are not used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// A file is not of the form.
    #[error("{file}")]
    File {
        /// The file's name.
        file: String,
        /// What is wrong with it, and where.
        #[source]
        source: serde_json::Error,
    },
    /// A subject stands in two files, or twice in one, so that it is not plain where its codes go.
    #[error("a subject stands twice, in {first} and {second}: {subject}")]
    Twice {
        /// The file that it stands in first.
        first: String,
        /// The file that it stands in again.
        second: String,
        /// The subject.
        subject: SubjectName,
    },
}

/// What is wrong with a subject's addresses. It does not show them: it is logged.
#[derive(Debug, thiserror::Error)]
enum InvalidAddresses {
    #[error("sms is not a telephone number: + and 7 to 15 digits, the first of them not 0")]
    Sms,
    #[error("mail is not a mail address")]
    Mail,
    #[error("webhook is not 1 to 256 characters without control characters")]
    Webhook,
    #[error("a subject has no address")]
    None,
    #[error("a subject's addresses are not an object of texts: sms, mail, webhook, each once at most")]
    Form,
}

impl Directory {
    /// Reads files, given by name and text.
    ///
    /// # Errors
    /// The first thing that is wrong with a file; then none is used.
    pub fn parse(files: &[(&str, &str)]) -> Result<Self, DirectoryError> {
        let mut directory = Self::default();
        let mut places: BTreeMap<SubjectName, &str> = BTreeMap::new();
        for (file, text) in files {
            let entries = entries(text).map_err(|source| DirectoryError::File { file: (*file).to_owned(), source })?;
            for (subject, addresses) in entries {
                if let Some(first) = places.insert(subject.clone(), file) {
                    return Err(DirectoryError::Twice { first: first.to_owned(), second: (*file).to_owned(), subject });
                }
                directory.0.insert(subject, addresses);
            }
        }
        Ok(directory)
    }

    /// Every subject with the names of its channels, in the order of subjects.
    pub fn subjects(&self) -> impl Iterator<Item = (&SubjectName, Vec<&'static str>)> {
        self.0.iter().map(|(subject, addresses)| {
            let has = |channel: &Channel| addresses.by(*channel).is_some();
            (subject, Channel::ALL.into_iter().filter(has).map(Channel::as_str).collect())
        })
    }

    /// Where a subject is reached.
    pub(crate) fn find(&self, subject: &SubjectName) -> Option<&Addresses> {
        self.0.get(subject)
    }
}

impl Addresses {
    /// The subject's address for a channel.
    pub(crate) fn by(&self, channel: Channel) -> Option<&str> {
        match channel {
            Channel::Sms => self.sms.as_deref(),
            Channel::Mail => self.mail.as_deref(),
            Channel::Webhook => self.webhook.as_deref(),
        }
    }
}

impl fmt::Debug for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[elided]")
    }
}

fn entries(text: &str) -> Result<Vec<(SubjectName, Addresses)>, serde_json::Error> {
    // serde's own words would show what stands there.
    if !text.trim_ascii_start().starts_with('{') {
        return Err(serde_json::Error::custom("not an object of subjects"));
    }
    serde_json::from_str(text).map(|Entries(entries)| entries)
}

/// What a file says, in its order. A map would keep the last of two entries of one name.
struct Entries(Vec<(SubjectName, Addresses)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reading;

        impl<'de> Visitor<'de> for Reading {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of subjects")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Entries, M::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(Reading)
    }
}

impl<'de> Deserialize<'de> for Addresses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Written {
            sms: Option<String>,
            mail: Option<String>,
            webhook: Option<String>,
        }

        let raw = Box::<RawValue>::deserialize(deserializer)?;
        // serde's own words would show what stands there.
        let written = serde_json::from_str(raw.get()).map_err(|_| D::Error::custom(InvalidAddresses::Form))?;
        let Written { sms, mail, webhook } = written;
        let wrong = if !sms.as_deref().is_none_or(is_phone) {
            InvalidAddresses::Sms
        } else if !mail.as_deref().is_none_or(is_mail) {
            InvalidAddresses::Mail
        } else if !webhook.as_deref().is_none_or(is_webhook_address) {
            InvalidAddresses::Webhook
        } else if sms.is_none() && mail.is_none() && webhook.is_none() {
            InvalidAddresses::None
        } else {
            return Ok(Self { sms, mail, webhook });
        };
        Err(D::Error::custom(wrong))
    }
}

/// ITU-T E.164, section 6.
fn is_phone(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or_default();
    (7..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0')
}

fn is_mail(text: &str) -> bool {
    matches!(text.parse(), Ok(AltName::Email(_)))
}

fn is_webhook_address(text: &str) -> bool {
    (1..=MAX_WEBHOOK_ADDRESS).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

/// Reads the directory: `subjects/*.json` of the bucket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SubjectFiles;

impl ParseFiles for SubjectFiles {
    type Value = Directory;
    type Error = DirectoryError;

    const NOUN: &'static str = "subjects";
    const SUFFIX: &'static str = ".json";

    fn parse(&self, files: &[(&str, &str)]) -> Result<Directory, DirectoryError> {
        Directory::parse(files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: &str = r#"{"alice": {"sms": "+391234567890", "mail": "alice@example.com", "webhook": "telegram:42"}}"#;

    fn find<'a>(directory: &'a Directory, subject: &str) -> Option<&'a Addresses> {
        directory.find(&subject.parse().unwrap())
    }

    #[test]
    fn files_are_one_directory() {
        let bob = r#"{"bob": {"mail": "bob@example.com"}, "+39555": {"sms": "+39555123"}}"#;
        let directory = Directory::parse(&[("a.json", ALICE), ("b.json", bob), ("c.json", "{}")]).unwrap();
        let alice = find(&directory, "alice").unwrap();
        let addresses = Channel::ALL.map(|channel| alice.by(channel).unwrap());
        assert_eq!(addresses, ["+391234567890", "alice@example.com", "telegram:42"]);
        assert_eq!(find(&directory, "bob").unwrap().by(Channel::Sms), None);
        assert!(find(&directory, "Alice").is_none(), "names that differ in a capital are different ones");
        let subjects: Vec<_> = directory.subjects().map(|(name, by)| format!("{name} {}", by.join(" "))).collect();
        assert_eq!(subjects, ["+39555 sms", "alice sms mail webhook", "bob mail"]);
    }

    #[test]
    fn a_file_that_is_wrong_in_any_way_refuses_the_load() {
        for (name, bad) in [
            ("not_json", "{"),
            ("a_list", "[]"),
            ("subject_of_another_form", r#"{"group:web": {"sms": "+391234567890"}}"#),
            ("empty_subject", r#"{"": {"sms": "+391234567890"}}"#),
            ("unknown_member", r#"{"bob": {"sms": "+391234567890", "fax": "+391234567890"}}"#),
            ("a_member_twice", r#"{"bob": {"sms": "+391234567890", "sms": "+391234567891"}}"#),
            ("addresses_of_another_type", r#"{"bob": "+391234567890"}"#),
            ("no_address", r#"{"bob": {}}"#),
            ("nulls_alone", r#"{"bob": {"sms": null}}"#),
            ("number_of_another_type", r#"{"bob": {"sms": 391234567890}}"#),
            ("number_without_plus", r#"{"bob": {"sms": "391234567890"}}"#),
            ("number_too_short", r#"{"bob": {"sms": "+123456"}}"#),
            ("number_too_long", r#"{"bob": {"sms": "+1234567890123456"}}"#),
            ("number_with_spaces", r#"{"bob": {"sms": "+39 123456789"}}"#),
            ("number_of_no_country", r#"{"bob": {"sms": "+0123456789"}}"#),
            ("mail_without_host", r#"{"bob": {"mail": "bob"}}"#),
            ("two_mails", r#"{"bob": {"mail": "bob@example.com,eve@example.com"}}"#),
            ("mail_with_a_line_break", r#"{"bob": {"mail": "bob@example.com\r\nBcc: eve@example.com"}}"#),
            ("webhook_empty", r#"{"bob": {"webhook": ""}}"#),
            ("webhook_with_a_control_character", r#"{"bob": {"webhook": "a\u0000"}}"#),
        ] {
            let error = Directory::parse(&[("good.json", ALICE), ("bad.json", bad)]).unwrap_err();
            assert!(matches!(&error, DirectoryError::File { file, .. } if file == "bad.json"), "{name}: {error:?}");
        }
        let long = format!(r#"{{"bob": {{"webhook": "{}"}}}}"#, "a".repeat(257));
        assert!(Directory::parse(&[("a.json", &long)]).is_err());
    }

    #[test]
    fn a_subject_that_stands_twice_refuses_the_load() {
        let twice = r#"{"bob": {"mail": "bob@example.com"}, "bob": {"mail": "eve@example.com"}}"#;
        for files in [&[("a.json", ALICE), ("b.json", ALICE)][..], &[("a.json", twice)]] {
            let error = Directory::parse(files).unwrap_err();
            assert!(matches!(&error, DirectoryError::Twice { first, .. } if first == "a.json"), "{error:?}");
        }
    }

    #[test]
    fn what_is_logged_of_a_directory_holds_no_address() {
        let directory = Directory::parse(&[("a.json", ALICE)]).unwrap();
        let error = |wrong: &str| ports::chain(&Directory::parse(&[("a.json", wrong)]).unwrap_err());
        for shown in [
            format!("{directory:?}"),
            error(r#"{"bob": {"sms": "391234567890"}}"#),
            error(r#"{"bob": {"sms": 391234567890}}"#),
            error(r#"{"bob": "+391234567890"}"#),
            error(r#"{"bob": {"bob@example.com": "+391234567890"}}"#),
            error(r#"{"bob": [{"mail": "bob@example.com"}]}"#),
            error(r#""bob@example.com""#),
            error("391234567890"),
        ] {
            assert!(!shown.contains("1234567890") && !shown.contains("example.com"), "{shown}");
        }
    }
}
