use std::collections::BTreeMap;

use crate::{AuthorizedKey, Fingerprint, InvalidLine};

/// How the files' names end.
const SUFFIX: &str = ".pub";

/// The ssh keys that an issuer knows, from files in the form of `authorized_keys`.
#[derive(Debug, Default)]
pub struct Registry(BTreeMap<Fingerprint, KnownKey>);

/// A key that is known.
#[derive(Debug)]
pub struct KnownKey {
    /// The file that it stands in, without `.pub`.
    pub file: String,
    /// Its line.
    pub line: AuthorizedKey,
}

/// Why files are not used.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// A line is not accepted.
    #[error("{file}")]
    Line {
        /// The file.
        file: String,
        /// The line, and why.
        #[source]
        source: InvalidLine,
    },
    /// A key stands in two places, so that it is not plain whose it is.
    #[error("a key stands twice, in {first} and {second}: {fingerprint}")]
    Twice {
        /// The file that it stands in first.
        first: String,
        /// The file that it stands in again.
        second: String,
        /// The key.
        fingerprint: Fingerprint,
    },
}

impl Registry {
    /// Reads files, given by name and text.
    ///
    /// # Errors
    /// The first thing that is wrong with a file; then none is used.
    pub fn parse(files: &[(&str, &str)]) -> Result<Self, RegistryError> {
        let mut registry = Self::default();
        for (name, text) in files {
            let file = name.strip_suffix(SUFFIX).unwrap_or(name).to_owned();
            let lines = AuthorizedKey::parse_file(text);
            for line in lines.map_err(|source| RegistryError::Line { file: (*name).to_owned(), source })? {
                let fingerprint = line.key.fingerprint().clone();
                if let Some(first) = registry.0.get(&fingerprint) {
                    let (first, second) = (first.file.clone(), file);
                    return Err(RegistryError::Twice { first, second, fingerprint });
                }
                registry.0.insert(fingerprint, KnownKey { file: file.clone(), line });
            }
        }
        Ok(registry)
    }

    /// The key of this fingerprint.
    #[must_use]
    pub fn find(&self, fingerprint: &Fingerprint) -> Option<&KnownKey> {
        self.0.get(fingerprint)
    }

    /// Every key, in the order of fingerprints.
    pub fn keys(&self) -> impl Iterator<Item = &KnownKey> {
        self.0.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAsD3+RokDgW4qjQ4wBIB7Ae4HaoYewkvyWaxz/u1hY9 alice";

    #[test]
    fn a_key_is_found_by_its_fingerprint_with_its_file() {
        let registry = Registry::parse(&[("empty.pub", "\n"), ("ops/eu.pub", ALICE)]).unwrap();
        let fingerprint = "SHA256:JB6+cT2v0hBvdZWKrl2dEhyGfyXbbZBSMV2YaFmC2qI".parse().unwrap();
        assert!(registry.find(&fingerprint).is_none());
        let known = registry.keys().next().unwrap();
        assert_eq!((known.file.as_str(), known.line.key.comment()), ("ops/eu", "alice"));
        assert!(registry.find(known.line.key.fingerprint()).is_some());
    }

    #[test]
    fn a_line_that_is_not_a_key_and_a_key_that_stands_twice_are_refused() {
        let error = Registry::parse(&[("a.pub", ALICE), ("b.pub", "# b\nfrom=\"*\" key")]).unwrap_err();
        assert!(matches!(&error, RegistryError::Line { file, source } if file == "b.pub" && source.line == 2));
        let twice = format!("{ALICE}\n{ALICE}");
        for files in [&[("a.pub", ALICE), ("b.pub", ALICE)][..], &[("a.pub", &twice)]] {
            assert!(matches!(Registry::parse(files), Err(RegistryError::Twice { first, .. }) if first == "a"));
        }
    }
}
