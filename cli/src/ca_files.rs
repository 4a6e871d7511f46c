use std::{
    fs::DirBuilder,
    io::{ErrorKind, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use pki::{Authority, Certificate};
use protocol::Secret;

use crate::{CaError, Error, certificate_file::line_ended, material::read};

const KEY: &str = "ca-key.pem";
const CERTIFICATE: &str = "ca-certificate.pem";

/// A CA in files: its certificate and its private key.
#[derive(Clone, Debug)]
pub struct CaFiles {
    /// The certificate in PEM.
    pub certificate: PathBuf,
    /// The private key in PEM.
    pub key: PathBuf,
}

impl CaFiles {
    /// The files of a CA that is made in this folder: `ca-certificate.pem` and `ca-key.pem`.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self { certificate: folder.join(CERTIFICATE), key: folder.join(KEY) }
    }

    /// Reads the CA.
    ///
    /// # Errors
    /// [`CaError::Unusable`], [`Error::File`], [`Error::Damaged`].
    pub fn read(&self) -> Result<(Authority, Secret<String>), Error> {
        let text = |path| -> Result<Secret<String>, Error> {
            let text = read(path, pki::MAX_PEM_BYTES, None)?;
            let text = str::from_utf8(text.expose()).map_err(|_| CaError::Unusable(pki::PkiError::MalformedPem))?;
            Ok(Secret::new(text.to_owned()))
        };
        let certificate = Certificate::from_pem(text(&self.certificate)?.expose()).map_err(CaError::Unusable)?;
        let key = text(&self.key)?;
        Ok((Authority::new(certificate, key.expose()).map_err(CaError::Unusable)?, key))
    }

    /// Whether nothing stands in the way of [`CaFiles::write`].
    ///
    /// # Errors
    /// [`CaError::FileExists`].
    pub fn are_free(&self) -> Result<(), Error> {
        let taken = [&self.key, &self.certificate].into_iter().find(|path| path.symlink_metadata().is_ok());
        taken.map_or(Ok(()), |path| Err(CaError::FileExists(path.clone()).into()))
    }

    /// Writes a CA, whole or not at all, with mode 0600, where there is none yet; the key first. A new folder gets mode 0700.
    ///
    /// # Errors
    /// [`CaError::FileExists`], [`Error::File`].
    pub fn write(&self, certificate: &Certificate, key: &Secret<String>) -> Result<(), Error> {
        self.are_free()?;
        create(&self.key, key.expose().as_bytes())?;
        create(&self.certificate, line_ended(certificate.to_pem()).as_bytes())
    }
}

fn create(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        // tempfile creates with mode 0600.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist_noclobber(path).map_err(|error| error.error)
    };
    match write() {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(CaError::FileExists(path.to_owned()).into()),
        Err(source) => Err(Error::File { action: "write", path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn files_of_a_ca_are_closed_to_others_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let files = CaFiles::in_folder(&folder.path().join("new"));
        files.are_free().unwrap();
        create(&files.key, b"first").unwrap();
        assert_eq!(fs::metadata(&files.key).unwrap().permissions().mode() & 0o7777, 0o600);
        assert!(matches!(create(&files.key, b"second"), Err(Error::Ca(CaError::FileExists(_)))));
        assert_eq!(fs::read(&files.key).unwrap(), b"first");
        assert!(matches!(files.are_free(), Err(Error::Ca(CaError::FileExists(path))) if path == files.key));
    }
}
