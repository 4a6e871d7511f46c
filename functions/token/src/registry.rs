use std::collections::BTreeMap;

use access_token::{AuthorizedKey, Fingerprint, InvalidLine};
use ports::ParseFiles;

/// The ssh keys that are known: what is in `ssh-keys/*.pub` of the bucket, in the form of `authorized_keys`.
#[derive(Debug, Default)]
pub(crate) struct Registry(BTreeMap<Fingerprint, KnownKey>);

/// A key that is known.
#[derive(Debug)]
pub(crate) struct KnownKey {
    /// The file that it stands in, without `.pub`.
    pub(crate) file: String,
    pub(crate) line: AuthorizedKey,
}

/// Why the files are not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistryError {
    /// A line is not accepted.
    #[error("{file}")]
    Line {
        file: String,
        #[source]
        source: InvalidLine,
    },
    /// A key stands in two places, so that it is not plain whose it is.
    #[error("a key stands twice, in {first} and {second}: {fingerprint}")]
    Twice { first: String, second: String, fingerprint: Fingerprint },
}

/// Reads the registry's files.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyFiles;

impl Registry {
    pub(crate) fn find(&self, fingerprint: &Fingerprint) -> Option<&KnownKey> {
        self.0.get(fingerprint)
    }
}

impl ParseFiles for KeyFiles {
    type Value = Registry;
    type Error = RegistryError;

    const NOUN: &'static str = "ssh keys";
    const SUFFIX: &'static str = ".pub";

    fn parse(&self, files: &[(&str, &str)]) -> Result<Registry, RegistryError> {
        let mut registry = Registry::default();
        for (name, text) in files {
            let file = name.strip_suffix(Self::SUFFIX).unwrap_or(name).to_owned();
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
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAsD3+RokDgW4qjQ4wBIB7Ae4HaoYewkvyWaxz/u1hY9 alice";

    #[test]
    fn a_key_is_found_by_its_fingerprint_with_its_file() {
        let registry = KeyFiles.parse(&[("empty.pub", "\n"), ("ops/eu.pub", ALICE)]).unwrap();
        let fingerprint = "SHA256:JB6+cT2v0hBvdZWKrl2dEhyGfyXbbZBSMV2YaFmC2qI".parse().unwrap();
        assert!(registry.find(&fingerprint).is_none());
        let known = registry.0.values().next().unwrap();
        assert_eq!((known.file.as_str(), known.line.key.comment()), ("ops/eu", "alice"));
        assert!(registry.find(known.line.key.fingerprint()).is_some());
    }

    #[test]
    fn a_line_that_is_not_a_key_and_a_key_that_stands_twice_are_refused() {
        let error = KeyFiles.parse(&[("a.pub", ALICE), ("b.pub", "# b\nfrom=\"*\" key")]).unwrap_err();
        assert!(matches!(&error, RegistryError::Line { file, source } if file == "b.pub" && source.line == 2));
        let error = KeyFiles.parse(&[("a.pub", ALICE), ("b.pub", ALICE)]).unwrap_err();
        assert!(matches!(error, RegistryError::Twice { first, second, .. } if first == "a" && second == "b"));
    }
}
