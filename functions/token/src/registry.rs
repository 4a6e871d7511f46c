use access_token::{Registry, RegistryError};
use ports::ParseFiles;

/// Reads the registry's files: `ssh-keys/*.pub` of the bucket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyFiles;

impl ParseFiles for KeyFiles {
    type Value = Registry;
    type Error = RegistryError;

    const NOUN: &'static str = "ssh keys";
    const SUFFIX: &'static str = ".pub";

    fn parse(&self, files: &[(&str, &str)]) -> Result<Registry, RegistryError> {
        Registry::parse(files)
    }
}
