use std::{
    fs::DirBuilder,
    io::Write as _,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use protocol::Secret;
use tempfile::NamedTempFile;

use crate::{DeviceError, Error, material::replace};

const KEY: &str = "key.pem";

/// The folder of a device's key and certificates.
///
/// A new folder gets mode 0700; files get mode 0600, and stand there whole or not at all.
#[derive(Clone, Debug)]
pub struct DeviceFiles {
    folder: PathBuf,
    replaces_key: bool,
}

/// A file of its own beside `key.pem`, which becomes that. Dropped, it is deleted; where the process ends before, it stays.
#[derive(Debug)]
pub struct ReservedKey {
    file: NamedTempFile,
    path: PathBuf,
    replaces_key: bool,
}

impl DeviceFiles {
    /// Files in this folder, which need not exist yet. Whether a key that is there may be replaced is the caller's affair.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>, replaces_key: bool) -> Self {
        Self { folder: folder.into(), replaces_key }
    }

    /// A place for a key that is still to be used, or to come: `key-*.pem`.
    ///
    /// # Errors
    /// [`DeviceError::KeyExists`], [`Error::File`].
    pub fn reserve_key(&self) -> Result<ReservedKey, Error> {
        let path = self.folder.join(KEY);
        if !self.replaces_key && path.symlink_metadata().is_ok() {
            return Err(DeviceError::KeyExists(path).into());
        }
        let reserve = || {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
            // tempfile creates with mode 0600.
            tempfile::Builder::new().prefix("key-").suffix(".pem").tempfile_in(&self.folder)
        };
        let file = reserve().map_err(|source| failed(&path, source))?;
        Ok(ReservedKey { file, path, replaces_key: self.replaces_key })
    }

    /// Writes a file of this name, in place of another one.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, Error> {
        let path = self.folder.join(name);
        replace(&path, bytes)?;
        Ok(path)
    }
}

impl ReservedKey {
    /// Writes the key, so that it outlives this process.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn write(&mut self, pem: &Secret<String>) -> Result<(), Error> {
        let written = self.file.write_all(pem.expose().as_bytes()).and_then(|()| self.file.as_file().sync_all());
        written.map_err(|source| failed(self.file.path(), source))
    }

    /// Leaves the key where it is.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn leave(self) -> Result<PathBuf, Error> {
        let kept = self.file.keep();
        kept.map(|(_, path)| path).map_err(|error| failed(error.file.path(), error.error))
    }

    /// Makes it `key.pem`.
    ///
    /// # Errors
    /// [`DeviceError::KeyLeft`], which says where the key is, as where another one came in the meantime.
    pub fn settle(self) -> Result<PathBuf, Error> {
        let Self { file, path, replaces_key } = self;
        let settled = if replaces_key { file.persist(&path) } else { file.persist_noclobber(&path) };
        match settled {
            Ok(_) => Ok(path),
            Err(error) => {
                let left = error.file.path().to_owned();
                let _ = error.file.keep();
                Err(DeviceError::KeyLeft { left, path, source: error.error }.into())
            }
        }
    }
}

fn failed(path: &Path, source: std::io::Error) -> Error {
    Error::File { action: "write", path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    fn key() -> Secret<String> {
        Secret::new("a key\n".to_owned())
    }

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn files_are_closed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("a/b");
        let files = DeviceFiles::new(&out, false);
        let mut reserved = files.reserve_key().unwrap();
        reserved.write(&key()).unwrap();
        let paths = [reserved.settle().unwrap(), files.write("certificate.pem", b"x").unwrap()];
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(fs::read_to_string(&paths[0]).unwrap(), "a key\n");
        assert!(paths.iter().all(|path| mode(path) == 0o600) && mode(&out) == 0o700);
        assert_eq!(names(&out).len(), 2);
    }

    #[test]
    fn a_key_is_replaced_by_order_alone_and_not_before_its_successor_is_good() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(KEY);
        let mut raced = DeviceFiles::new(folder.path(), false).reserve_key().unwrap();
        raced.write(&key()).unwrap();
        fs::write(&path, "old").unwrap();
        let error = raced.settle().unwrap_err();
        let Error::Device(DeviceError::KeyLeft { left, .. }) = &error else { panic!("{error:?}") };
        assert_eq!(fs::read_to_string(left).unwrap(), "a key\n");
        assert!(error.to_string().contains(left.to_str().unwrap()), "{error}");
        let refused = DeviceFiles::new(folder.path(), false).reserve_key().unwrap_err();
        assert!(matches!(refused, Error::Device(DeviceError::KeyExists(_))));
        let forced = DeviceFiles::new(folder.path(), true);
        let mut reserved = forced.reserve_key().unwrap();
        reserved.write(&key()).unwrap();
        drop(reserved);
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        let mut reserved = forced.reserve_key().unwrap();
        reserved.write(&key()).unwrap();
        reserved.settle().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "a key\n");
    }

    #[test]
    fn a_key_whose_order_was_lost_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let mut reserved = DeviceFiles::new(folder.path(), false).reserve_key().unwrap();
        reserved.write(&key()).unwrap();
        let left = reserved.leave().unwrap();
        assert_eq!(fs::read_to_string(left).unwrap(), "a key\n");
        assert_eq!(names(folder.path()).len(), 1);
    }
}
