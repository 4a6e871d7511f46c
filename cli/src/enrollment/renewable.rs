use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use pki::Certificate;
use ports::{Clock as _, SystemClock};
use step::CaUrl;

use crate::{Error, enrollment::CertificateFiles, step_ca::StepCa};

/// From when until when a certificate is valid, Unix time in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first second.
    pub from: u64,
    /// The last second.
    pub until: u64,
}

/// A certificate that is kept somewhere and can be renewed.
pub trait Renewable {
    /// That of the certificate as it is kept now: another process may have put one there.
    ///
    /// # Errors
    /// Where it cannot be read.
    fn validity(&self) -> Result<Validity, Error>;

    /// Renews it, and keeps the new one.
    ///
    /// # Errors
    /// Where that fails; what is kept stays as it was.
    fn renew(&self) -> impl Future<Output = Result<Validity, Error>>;
}

/// A certificate in files, which its CA renews over mutual TLS. Everything is read anew each time.
#[derive(Clone, Debug)]
pub struct FileRenewal {
    place: Place,
    timeout: Duration,
}

#[derive(Clone, Debug)]
enum Place {
    /// What an enrolment wrote, with the record of its CA.
    Folder(PathBuf),
    Files(CertificateFiles, CaUrl),
}

impl FileRenewal {
    /// The certificate of a folder that an enrolment wrote. A renewal may take so long.
    #[must_use]
    pub fn in_folder(folder: &Path, timeout: Duration) -> Self {
        Self { place: Place::Folder(folder.to_owned()), timeout }
    }

    /// The certificate of these files, of the CA at this url. A renewal may take so long.
    #[must_use]
    pub const fn of_files(files: CertificateFiles, url: CaUrl, timeout: Duration) -> Self {
        Self { place: Place::Files(files, url), timeout }
    }

    fn files(&self) -> CertificateFiles {
        match &self.place {
            Place::Folder(folder) => CertificateFiles::in_folder(folder),
            Place::Files(files, _) => files.clone(),
        }
    }

    fn ca(&self) -> Result<StepCa, Error> {
        let (url, root) = match &self.place {
            Place::Folder(folder) => {
                let record = CertificateFiles::ca(folder)?;
                (record.url, self.files().root(Some(&record.fingerprint))?)
            }
            Place::Files(files, url) => (url.clone(), files.root(None)?),
        };
        Ok(StepCa::new(url, root).timeout(self.timeout))
    }
}

impl Renewable for FileRenewal {
    fn validity(&self) -> Result<Validity, Error> {
        Ok(Validity::of(self.files().identity()?.certificate()))
    }

    async fn renew(&self) -> Result<Validity, Error> {
        let files = self.files();
        let identity = files.identity()?;
        let issued = self.ca()?.renew(&identity, SystemClock.unix_seconds()).await?;
        files.write(&issued)?;
        Ok(Validity::of(issued.certificate()))
    }
}

impl Validity {
    /// That of a certificate.
    #[must_use]
    pub fn of(certificate: &Certificate) -> Self {
        Self { from: certificate.not_before(), until: certificate.not_after() }
    }

    /// How long it is valid in all.
    #[must_use]
    pub const fn lifetime(self) -> Duration {
        Duration::from_secs(self.until.saturating_sub(self.from))
    }

    /// When two thirds of it are over, Unix time in seconds.
    #[must_use]
    pub const fn two_thirds(self) -> u64 {
        self.from.saturating_add(self.until.saturating_sub(self.from) / 3 * 2)
    }
}
