use std::{
    fs::{self, File},
    io::ErrorKind,
    path::{Path, PathBuf},
};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use protocol::{Random, Secret};
use rustix::fs::Mode;

use crate::{
    Error,
    new_file::{Ownership, replace_in},
};

/// The token that requests must bring, and the file that who may have it reads it from: 256 random bits in base64url, without a
/// newline, which SDKs would take for a part of it. The file has mode 0400 and ends with this value.
#[derive(Debug)]
pub(crate) struct TokenFile {
    path: PathBuf,
    token: Secret<String>,
}

impl TokenFile {
    /// Makes a new token and puts its file in the place of the last one's at once.
    pub(crate) fn write(path: PathBuf, random: &dyn Random) -> Result<Self, Error> {
        let mut bytes = [0; 32];
        random.fill(&mut bytes);
        let bytes = Secret::new(bytes);
        let token = Secret::new(BASE64_URL_SAFE_NO_PAD.encode(bytes.expose()));
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let write = || {
            let name = path.file_name().ok_or(ErrorKind::InvalidInput)?;
            replace_in(File::open(folder)?, name, token.expose().as_bytes(), Mode::RUSR, Ownership::default())
        };
        match write() {
            Ok(()) => Ok(Self { path, token }),
            Err(source) => Err(Error::File { action: "write", path, source }),
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The token. Secret.
    pub(crate) fn token(&self) -> Secret<String> {
        self.token.clone()
    }
}

impl Drop for TokenFile {
    /// Deletes the file, unless another agent has put its own there.
    fn drop(&mut self) {
        let there = fs::read(&self.path).map(Secret::new);
        if there.is_ok_and(|there| is(&self.token, there.expose())) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether these bytes are the token, in constant time.
pub(crate) fn is(token: &Secret<String>, given: &[u8]) -> bool {
    verify_slices_are_equal(token.expose().as_bytes(), given).is_ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use protocol::SystemRandom;

    use super::*;

    #[test]
    fn the_file_holds_the_token_alone_and_its_owner_alone_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let file = TokenFile::write(path.clone(), &SystemRandom).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o400);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, *file.token().expose());
        assert_eq!(BASE64_URL_SAFE_NO_PAD.decode(&text).unwrap().len(), 32);
        assert!(is(&file.token(), text.as_bytes()));
        assert!(!is(&file.token(), b""));
        assert!(!is(&file.token(), &text.as_bytes()[1..]));
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn each_start_has_its_own_token_and_none_deletes_anothers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let first = TokenFile::write(path.clone(), &SystemRandom).unwrap();
        let second = TokenFile::write(path.clone(), &SystemRandom).unwrap();
        assert_ne!(first.token().expose(), second.token().expose());
        drop(first);
        assert_eq!(fs::read_to_string(&path).unwrap(), *second.token().expose());
        drop(second);
        assert!(!path.exists());
    }

    #[test]
    fn a_token_is_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = TokenFile::write(folder.path().join("token"), &SystemRandom).unwrap();
        assert!(!format!("{file:?}").contains(file.token().expose()));
    }

    #[test]
    fn a_folder_that_is_not_there_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let error = TokenFile::write(folder.path().join("no/token"), &SystemRandom).unwrap_err();
        assert!(matches!(error, Error::File { action: "write", .. }));
    }
}
