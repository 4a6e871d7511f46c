use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use access_token::{KeySet, MAX_TOKEN_BYTES};
use aws_lc_rs::digest::{SHA256, digest};
use protocol::Secret;

use crate::{
    BearerToken, BrokerUrl, Error, TokenError,
    material::{Closed, read, replace},
};

/// The largest set of keys, in bytes.
pub(crate) const MAX_KEYS_BYTES: usize = 64 * 1024;

/// How the names of tokens end.
const TOKEN: &str = ".jwt";

/// Tokens and issuers' keys on disk: a file for each broker and subject, and one for each broker's keys.
///
/// Folders get mode 0700 and files 0600. What others can read or write is refused, and what belongs to another user than
/// this one or root. Not checked: the folders above, and access control lists.
#[derive(Clone, Debug)]
pub struct TokenCache(PathBuf);

impl TokenCache {
    /// What is kept in this folder, which need not exist yet.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// The broker's tokens, the one that ends last first. What cannot be read, or is no token, is passed over.
    #[must_use]
    pub fn tokens(&self, url: &BrokerUrl) -> Vec<BearerToken> {
        let Ok(entries) = fs::read_dir(&self.0) else { return Vec::new() };
        let prefix = name(&url.to_string());
        let is_token = |name: &str| name.starts_with(&prefix) && name.ends_with(TOKEN);
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let paths = paths.filter(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(is_token));
        let mut tokens: Vec<_> = paths.filter_map(|path| read_token(&path)).collect();
        tokens.sort_by_key(|token| std::cmp::Reverse(token.claims().expires_at));
        tokens
    }

    /// Keeps a token, in place of its subject's last one.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn save(&self, url: &BrokerUrl, token: &BearerToken) -> Result<(), Error> {
        let name = format!("{}-{}{TOKEN}", name(&url.to_string()), name(&token.claims().subject));
        replace(&self.0.join(name), token.expose().as_bytes())
    }

    /// The broker's public keys, as they were when they were stored.
    ///
    /// # Errors
    /// [`TokenError::NoStoredKeys`], [`Error::OpenToOthers`], [`Error::NotOwned`], [`Error::File`].
    pub fn keys(&self, url: &BrokerUrl) -> Result<KeySet, Error> {
        let missing = || TokenError::NoStoredKeys { url: url.to_string() };
        match read(&self.keys_path(url), MAX_KEYS_BYTES, Some(Closed::ToAll)) {
            Ok(json) => Ok(KeySet::from_json(json.expose()).map_err(|_| missing())?),
            Err(Error::File { source, .. }) if source.kind() == ErrorKind::NotFound => Err(missing().into()),
            Err(error) => Err(error),
        }
    }

    /// Stores the broker's public keys.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn save_keys(&self, url: &BrokerUrl, keys: &KeySet) -> Result<(), Error> {
        replace(&self.keys_path(url), &keys.to_json())
    }

    fn keys_path(&self, url: &BrokerUrl) -> PathBuf {
        self.0.join(format!("{}.jwks.json", name(&url.to_string())))
    }
}

fn read_token(path: &Path) -> Option<BearerToken> {
    let mut bytes = read(path, MAX_TOKEN_BYTES, Some(Closed::ToAll)).ok()?;
    // What is not UTF-8 is no secret of ours.
    BearerToken::read(Secret::new(String::from_utf8(bytes.take()).ok()?))
}

/// A file's name for what may hold any character: half of its SHA-256.
fn name(text: &str) -> String {
    hex::encode(&digest(&SHA256, text.as_bytes()).as_ref()[..16])
}

#[cfg(test)]
mod tests {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt as _};

    use super::*;
    use crate::bearer_token::tests::token;

    fn cache() -> (tempfile::TempDir, TokenCache, BrokerUrl) {
        let folder = tempfile::tempdir().unwrap();
        let cache = TokenCache::new(folder.path().join("countersign/tokens"));
        (folder, cache, "https://broker.example.com".parse().unwrap())
    }

    fn subjects(cache: &TokenCache, url: &BrokerUrl) -> Vec<String> {
        cache.tokens(url).into_iter().map(|token| token.claims().subject.clone()).collect()
    }

    fn files(cache: &TokenCache) -> Vec<PathBuf> {
        fs::read_dir(&cache.0).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    #[test]
    fn each_broker_and_subject_has_a_token_of_its_own() {
        let (_folder, cache, url) = cache();
        let other = "https://broker.example.com/prod".parse().unwrap();
        assert!(cache.tokens(&url).is_empty());
        for kept in [token("a", 0, 100), token("b", 0, 300), token("a", 0, 200)] {
            cache.save(&url, &kept).unwrap();
        }
        cache.save(&other, &token("c", 0, 400)).unwrap();
        assert_eq!(subjects(&cache, &url), ["b", "a"]);
        assert_eq!(cache.tokens(&url)[1].claims().expires_at, 200);
        assert_eq!(subjects(&cache, &other), ["c"]);
    }

    #[test]
    fn what_is_kept_is_closed_to_others() {
        let (folder, cache, url) = cache();
        cache.save(&url, &token("a", 0, 100)).unwrap();
        cache.save_keys(&url, &KeySet::default()).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        let files = files(&cache);
        assert_eq!(files.len(), 2);
        assert!(files.iter().all(|path| mode(path) == 0o600));
        assert_eq!((mode(&cache.0), mode(&folder.path().join("countersign"))), (0o700, 0o700));
    }

    #[test]
    fn a_token_that_is_open_to_others_or_damaged_is_passed_over() {
        let (_folder, cache, url) = cache();
        cache.save(&url, &token("a", 0, 100)).unwrap();
        let [path] = <[PathBuf; 1]>::try_from(files(&cache)).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        assert!(cache.tokens(&url).is_empty());
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        assert_eq!(subjects(&cache, &url), ["a"]);
        for damaged in [&b"a.b.c"[..], b"", b"\xff", &[b'a'; MAX_TOKEN_BYTES + 1]] {
            fs::write(&path, damaged).unwrap();
            assert!(cache.tokens(&url).is_empty());
        }
        cache.save(&url, &token("a", 0, 200)).unwrap();
        assert_eq!(subjects(&cache, &url), ["a"]);
    }

    #[test]
    fn keys_are_there_when_they_were_stored() {
        let (_folder, cache, url) = cache();
        let missing = |found| matches!(found, Err(Error::Token(TokenError::NoStoredKeys { .. })));
        assert!(missing(cache.keys(&url)));
        cache.save_keys(&url, &KeySet::default()).unwrap();
        assert_eq!(cache.keys(&url).unwrap(), KeySet::default());
        let path = cache.keys_path(&url);
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(cache.keys(&url), Err(Error::OpenToOthers { .. })));
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "[").unwrap();
        assert!(missing(cache.keys(&url)));
    }
}
