use std::time::Duration;

use pki::Certificate;
use ports::{Clock as _, SystemClock};
use step::{CaUrl, RootFingerprint};

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

/// A certificate in files, which its CA renews over mutual TLS.
#[derive(Clone, Debug)]
pub struct FileRenewal {
    files: CertificateFiles,
    url: CaUrl,
    fingerprint: Option<RootFingerprint>,
    timeout: Duration,
}

impl FileRenewal {
    /// The certificate of these files, of the CA at this url, whose root has this fingerprint, where one is known beside the file of
    /// the root. A renewal may take so long.
    #[must_use]
    pub const fn new(
        files: CertificateFiles,
        url: CaUrl,
        fingerprint: Option<RootFingerprint>,
        timeout: Duration,
    ) -> Self {
        Self { files, url, fingerprint, timeout }
    }
}

impl Renewable for FileRenewal {
    fn validity(&self) -> Result<Validity, Error> {
        Ok(Validity::of(self.files.identity()?.certificate()))
    }

    /// Everything is read anew.
    async fn renew(&self) -> Result<Validity, Error> {
        let identity = self.files.identity()?;
        let root = self.files.root(self.fingerprint.as_ref())?;
        let ca = StepCa::new(self.url.clone(), root).timeout(self.timeout);
        let issued = ca.renew(&identity, SystemClock.unix_seconds()).await?;
        self.files.write(&issued)?;
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
