use std::path::{Path, PathBuf};

use crate::{
    Error,
    config::FileMode,
    deliver::placed_file::PlacedFile,
    material::{Closed, read},
    new_file::Ownership,
};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use protocol::{Random, Secret};

/// The token that requests must bring, and the file that who may have it reads it from: 256 random bits in base64url, without a
/// newline, which SDKs would take for a part of it. The file has mode 0400, stands where an item's file could, and ends with this
/// value.
#[derive(Debug)]
pub(crate) struct TokenFile {
    place: PlacedFile,
    token: Secret<String>,
}

impl TokenFile {
    /// Makes a new token and puts its file in the place of the last one's at once.
    pub(crate) fn write(path: PathBuf, random: &dyn Random) -> Result<Self, Error> {
        let mut bytes = [0; 32];
        random.fill(&mut bytes);
        let bytes = Secret::new(bytes);
        let token = Secret::new(BASE64_URL_SAFE_NO_PAD.encode(bytes.expose()));
        let place = PlacedFile::new(path, FileMode::OWNER_READS, Ownership::default())?;
        place.prepare()?;
        place.put(token.expose().as_bytes())?;
        Ok(Self { place, token })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.place.path()
    }

    /// The token. Secret.
    pub(crate) fn token(&self) -> Secret<String> {
        self.token.clone()
    }
}

impl Drop for TokenFile {
    /// Deletes the file, unless another agent has put its own there.
    fn drop(&mut self) {
        let there = read(self.place.path(), self.token.expose().len(), Some(Closed::ToAll));
        if there.is_ok_and(|there| is(&self.token, there.expose())) {
            let _ = self.place.remove();
        }
    }
}

/// Whether these bytes are the token, in constant time.
pub(crate) fn is(token: &Secret<String>, given: &[u8]) -> bool {
    verify_slices_are_equal(token.expose().as_bytes(), given).is_ok()
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{PermissionsExt as _, symlink},
    };

    use protocol::SystemRandom;
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;
    use crate::{closed, deliver::DeliveryError};

    #[test]
    fn the_file_holds_the_token_alone_and_its_owner_alone_reads_it() {
        let folder = closed::folder();
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
        let folder = closed::folder();
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
        let folder = closed::folder();
        let file = TokenFile::write(folder.path().join("token"), &SystemRandom).unwrap();
        assert!(!format!("{file:?}").contains(file.token().expose()));
    }

    #[test]
    fn it_goes_nowhere_else_than_an_items_file_would() {
        let folder = closed::folder();
        let write = |name: &str| TokenFile::write(folder.path().join(name), &SystemRandom);
        fs::write(folder.path().join("theirs"), "theirs").unwrap();
        symlink(folder.path().join("theirs"), folder.path().join("link")).unwrap();
        assert!(matches!(write("link"), Err(Error::Delivery(DeliveryError::NoFile { .. }))));
        assert_eq!(fs::read(folder.path().join("theirs")).unwrap(), b"theirs");
        fs::create_dir(folder.path().join("open")).unwrap();
        fs::set_permissions(folder.path().join("open"), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(write("open/token"), Err(Error::Delivery(DeliveryError::OpenToOthers { .. }))));
        assert!(!folder.path().join("open/token").exists());
        drop(write("made/token").unwrap());
        assert_eq!(fs::metadata(folder.path().join("made")).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_pipe_in_its_place_does_not_hold_up_the_end() {
        let folder = closed::folder();
        let path = folder.path().join("token");
        let file = TokenFile::write(path.clone(), &SystemRandom).unwrap();
        fs::remove_file(&path).unwrap();
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        drop(file);
        assert!(path.symlink_metadata().is_ok());
    }
}
