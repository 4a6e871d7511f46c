use std::{
    fs::DirBuilder,
    io::{self, ErrorKind},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use pki::{Certificate, DeviceKey, PkiError};
use protocol::{Secret, SubjectName};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid};
use serde::{Deserialize, Serialize};
use step::{CaUrl, RootFingerprint};

use crate::{
    DeviceError, DeviceFiles, Error, ReservedKey,
    certificate_file::line_ended,
    enrollment::EnrollmentError,
    material::{Closed, read},
    new_file::{Ownership, replace_in},
    step_ca::{Identity, Issued},
};

const KEY: &str = "key.pem";
const CERTIFICATE: &str = "certificate.pem";
const CHAIN: &str = "chain.pem";
const ROOT: &str = "root.pem";
const CA: &str = "ca.json";

/// The largest file that is read, in bytes: a chain of large certificates.
const MAX_BYTES: usize = 128 * 1024;

/// Where a private key, its certificate, and what that follows from are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The private key, in PEM.
    pub key: PathBuf,
    /// The certificate alone, in PEM.
    pub certificate: Option<PathBuf>,
    /// The certificate and what stands above it, without the root, in PEM.
    pub chain: Option<PathBuf>,
    /// The root, in PEM.
    pub root: PathBuf,
}

/// What is kept of a CA beside its root: the file `ca.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaRecord {
    /// Its url.
    pub url: CaUrl,
    /// What its root is known by.
    pub fingerprint: RootFingerprint,
    /// Whose certificate it is.
    pub subject: SubjectName,
}

impl CertificateFiles {
    /// Those of a folder: `key.pem`, `certificate.pem`, `chain.pem`, `root.pem`.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        let path = |name| folder.join(name);
        Self { key: path(KEY), certificate: Some(path(CERTIFICATE)), chain: Some(path(CHAIN)), root: path(ROOT) }
    }

    /// Reads the record of the CA, `ca.json` of a folder, which others must not be able to write.
    ///
    /// # Errors
    /// [`EnrollmentError::NoCertificate`] where there is none; [`Error::Damaged`], [`Error::OpenToOthers`], [`Error::NotOwned`].
    pub fn ca(folder: &Path) -> Result<CaRecord, Error> {
        let path = folder.join(CA);
        let json = read(&path, MAX_BYTES, Some(Closed::ToWriting)).map_err(|error| or_none(error, folder))?;
        let record = serde_json::from_slice(json.expose());
        record.map_err(|_| EnrollmentError::NoRecord(path).into())
    }

    /// Whether nothing would be replaced in a folder.
    ///
    /// # Errors
    /// [`EnrollmentError::FileExists`].
    pub fn are_free(folder: &Path) -> Result<(), Error> {
        let mut paths = [KEY, CERTIFICATE, CHAIN].into_iter().map(|name| folder.join(name));
        let taken = paths.find(|path| path.symlink_metadata().is_ok());
        taken.map_or(Ok(()), |path| Err(EnrollmentError::FileExists(path).into()))
    }

    /// A place for a new key of a folder: a file beside `key.pem`, of mode 0600, which becomes that.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn reserve_key(folder: &Path) -> Result<ReservedKey, Error> {
        DeviceFiles::new(folder, true).reserve_key()
    }

    /// Makes a new key `key.pem`.
    ///
    /// # Errors
    /// [`EnrollmentError::KeyLeft`], which says where the key is.
    pub fn settle(key: ReservedKey) -> Result<PathBuf, Error> {
        key.settle().map_err(|error| {
            let Error::Device(DeviceError::KeyLeft { left, path, source }) = error else { return error };
            EnrollmentError::KeyLeft { left, path, source }.into()
        })
    }

    /// Reads the private key.
    ///
    /// # Errors
    /// [`EnrollmentError::NoCertificate`] where there is none, [`EnrollmentError::File`].
    pub fn key(&self) -> Result<DeviceKey, Error> {
        let text = text(&self.key)?;
        DeviceKey::from_pem(text.expose()).map_err(|source| unusable(&self.key, source))
    }

    /// Reads the certificate, and what stands above it where that is kept.
    ///
    /// # Errors
    /// As [`CertificateFiles::key`].
    pub fn certificates(&self) -> Result<Vec<Certificate>, Error> {
        let path = self.chain.as_ref().or(self.certificate.as_ref()).unwrap_or(&self.key);
        let text = text(path)?;
        Certificate::chain_from_pem(text.expose()).map_err(|source| unusable(path, source))
    }

    /// Reads key and certificate, which must belong together.
    ///
    /// # Errors
    /// As [`CertificateFiles::key`]; [`EnrollmentError::OtherKey`].
    pub fn identity(&self) -> Result<Identity, Error> {
        let (key, certificates) = (self.key()?, self.certificates()?);
        Identity::new(key, certificates).map_err(|_| EnrollmentError::OtherKey(self.key.clone()).into())
    }

    /// Reads the root, which others must not be able to write, and which has this fingerprint where one is known.
    ///
    /// # Errors
    /// As [`CertificateFiles::ca`]; [`EnrollmentError::OtherRoot`].
    pub fn root(&self, fingerprint: Option<&RootFingerprint>) -> Result<Certificate, Error> {
        let folder = self.root.parent().unwrap_or(Path::new("."));
        let pem = read(&self.root, MAX_BYTES, Some(Closed::ToWriting)).map_err(|error| or_none(error, folder))?;
        let root = str::from_utf8(pem.expose()).map_err(|_| PkiError::MalformedPem).and_then(Certificate::from_pem);
        let root = root.map_err(|source| unusable(&self.root, source))?;
        match fingerprint {
            Some(fingerprint) if !fingerprint.is_of(root.der()) => {
                Err(EnrollmentError::OtherRoot(self.root.clone()).into())
            }
            _ => Ok(root),
        }
    }

    /// Writes a certificate and what stands above it, each file in place of another at once. A file that is there keeps its mode, and
    /// its owner as far as this user may give it away; others get mode 0600.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn write(&self, issued: &Issued) -> Result<(), Error> {
        let pem = |certificate: &Certificate| line_ended(certificate.to_pem());
        // The chain first: who renews reads that one.
        if let Some(path) = &self.chain {
            replace(path, issued.chain().iter().map(pem).collect::<String>().as_bytes())?;
        }
        self.certificate.as_ref().map_or(Ok(()), |path| replace(path, pem(issued.certificate()).as_bytes()))
    }

    /// Writes root and record of a CA.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn write_ca(folder: &Path, root: &Certificate, record: &CaRecord) -> Result<(), Error> {
        replace(&folder.join(ROOT), line_ended(root.to_pem()).as_bytes())?;
        let json = serde_json::to_string_pretty(record).expect("a record serializes");
        replace(&folder.join(CA), line_ended(json).as_bytes())
    }
}

fn text(path: &Path) -> Result<Secret<String>, Error> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let bytes = read(path, MAX_BYTES, None).map_err(|error| or_none(error, folder))?;
    let text = str::from_utf8(bytes.expose()).map_err(|_| unusable(path, PkiError::MalformedPem))?;
    Ok(Secret::new(text.to_owned()))
}

fn unusable(path: &Path, source: PkiError) -> Error {
    EnrollmentError::File { path: path.to_owned(), source }.into()
}

fn or_none(error: Error, folder: &Path) -> Error {
    let is_missing = matches!(&error, Error::File { source, .. } if source.kind() == ErrorKind::NotFound);
    if is_missing { EnrollmentError::NoCertificate(folder.to_owned()).into() } else { error }
}

fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let name = path.file_name().ok_or(ErrorKind::InvalidFilename)?;
        let folder = rustix::fs::open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let mut mode = Mode::RUSR | Mode::WUSR;
        let mut owner = Ownership::default();
        // What a link leads to is another's affair.
        if let Ok(stat) = rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)
            && FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
        {
            mode = Mode::from_raw_mode(stat.st_mode) & (Mode::RWXU | Mode::RWXG | Mode::RWXO);
            owner = Ownership { user: Some(Uid::from_raw(stat.st_uid)), group: Some(Gid::from_raw(stat.st_gid)) };
        }
        match replace_in(&folder, name, bytes, mode, owner) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                replace_in(&folder, name, bytes, mode, Ownership::default())
            }
            ended => ended,
        }
    };
    write().map_err(|source: io::Error| Error::File { action: "write", path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, Permissions},
        os::unix::fs::{PermissionsExt as _, symlink},
    };

    use super::*;
    use crate::step_ca::{
        Expected, Names,
        fixture::{Ca, NOW},
    };

    fn issued(ca: &Ca, key: &DeviceKey, now: u64) -> Issued {
        let leaf = ca.issue("alice", key, now);
        let subject = "alice".parse().unwrap();
        let expected = Expected { public_key: &key.public_key(), names: Names::These(&subject, &[]), now };
        Issued::verify(vec![leaf, ca.intermediate()], ca.root(), &expected).unwrap()
    }

    fn record(ca: &Ca) -> CaRecord {
        CaRecord {
            url: "https://ca.example.com".parse().unwrap(),
            fingerprint: RootFingerprint::of(ca.root().der()),
            subject: "alice".parse().unwrap(),
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
    }

    /// A folder with all that an enrolment leaves.
    fn enrolled(ca: &Ca) -> (tempfile::TempDir, CertificateFiles, DeviceKey) {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("alice");
        let files = CertificateFiles::in_folder(&folder);
        let key = Ca::key();
        let mut reserved = CertificateFiles::reserve_key(&folder).unwrap();
        reserved.write(&key.to_pem()).unwrap();
        CertificateFiles::settle(reserved).unwrap();
        files.write(&issued(ca, &key, NOW)).unwrap();
        CertificateFiles::write_ca(&folder, ca.root(), &record(ca)).unwrap();
        (place, files, key)
    }

    #[test]
    fn what_an_enrolment_leaves_is_read_again_and_closed_to_others() {
        let ca = Ca::new();
        let (place, files, key) = enrolled(&ca);
        let folder = place.path().join("alice");
        assert_eq!(mode(&folder), 0o700);
        let names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(names.len(), 5, "nothing else is left: {names:?}");
        assert!(names.iter().all(|path| mode(path) == 0o600));
        let identity = files.identity().unwrap();
        assert_eq!(identity.public_key(), key.public_key());
        assert_eq!(identity.chain(), issued_chain(&files));
        assert_eq!(CertificateFiles::ca(&folder).unwrap(), record(&ca));
        assert_eq!(&files.root(Some(&record(&ca).fingerprint)).unwrap(), ca.root());
        let other = RootFingerprint::of(Ca::new().root().der());
        assert!(matches!(files.root(Some(&other)), Err(Error::Enrollment(EnrollmentError::OtherRoot(_)))));
        assert!(matches!(CertificateFiles::are_free(&folder), Err(Error::Enrollment(EnrollmentError::FileExists(_)))));
        assert!(CertificateFiles::are_free(&place.path().join("bob")).is_ok());
    }

    fn issued_chain(files: &CertificateFiles) -> Vec<Certificate> {
        files.certificates().unwrap()
    }

    #[test]
    fn a_renewed_file_keeps_its_mode_and_a_link_is_not_followed() {
        let ca = Ca::new();
        let (place, files, key) = enrolled(&ca);
        let [chain, certificate] = [&files.chain, &files.certificate].map(|path| path.clone().unwrap());
        fs::set_permissions(&chain, Permissions::from_mode(0o644)).unwrap();
        let elsewhere = place.path().join("elsewhere");
        fs::write(&elsewhere, "untouched").unwrap();
        fs::remove_file(&certificate).unwrap();
        symlink(&elsewhere, &certificate).unwrap();
        let renewed = issued(&ca, &key, NOW + 60);
        files.write(&renewed).unwrap();
        assert_eq!(mode(&chain), 0o644);
        assert_eq!(mode(&certificate), 0o600);
        assert!(!certificate.symlink_metadata().unwrap().is_symlink());
        assert_eq!(fs::read_to_string(elsewhere).unwrap(), "untouched");
        assert_eq!(issued_chain(&files), renewed.chain());
        assert_eq!(fs::read_to_string(certificate).unwrap(), line_ended(renewed.certificate().to_pem()));
    }

    #[test]
    fn who_renews_believes_no_root_that_others_can_write() {
        let ca = Ca::new();
        let (place, files, _) = enrolled(&ca);
        let folder = place.path().join("alice");
        for path in [files.root.clone(), folder.join(CA)] {
            fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        }
        assert!(matches!(files.root(None), Err(Error::OpenToOthers { .. })));
        assert!(matches!(CertificateFiles::ca(&folder), Err(Error::OpenToOthers { .. })));
    }

    #[test]
    fn what_is_missing_or_another_pairs_is_told() {
        let ca = Ca::new();
        let (place, files, _) = enrolled(&ca);
        fs::write(&files.key, Ca::key().to_pem().expose()).unwrap();
        assert!(matches!(files.identity(), Err(Error::Enrollment(EnrollmentError::OtherKey(_)))));
        fs::write(&files.key, "no key").unwrap();
        assert!(matches!(files.identity(), Err(Error::Enrollment(EnrollmentError::File { .. }))));
        let nothing = CertificateFiles::in_folder(&place.path().join("bob"));
        assert!(matches!(nothing.identity(), Err(Error::Enrollment(EnrollmentError::NoCertificate(_)))));
        let folder = place.path().join("alice");
        fs::write(folder.join(CA), "{}").unwrap();
        assert!(matches!(CertificateFiles::ca(&folder), Err(Error::Enrollment(EnrollmentError::NoRecord(_)))));
    }
}
