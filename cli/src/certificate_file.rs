use std::path::Path;

use http::{Fetched, Http};
use pki::Certificate;
use reqwest::header::HeaderMap;
use url::Url;

use crate::{DeviceError, Error, material::read};

/// The most that is read, in bytes: a bundle of some hundred roots.
const MAX_BYTES: usize = 1024 * 1024;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// The certificates of a PEM file, at least one, in its order. Text around them is passed over, and other kinds of PEM.
#[derive(Clone, Debug)]
pub struct CertificateFile(Vec<Certificate>);

impl CertificateFile {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Damaged`], [`DeviceError::NoCertificate`], [`DeviceError::Pki`].
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = read(path, MAX_BYTES, None)?;
        Self::parse(text.expose(), &path.display().to_string())
    }

    /// Gets what an https url names, or else a file.
    ///
    /// Not checked is whose certificates they are: who serves them says which CA a device believes.
    ///
    /// # Errors
    /// As [`CertificateFile::read`], and [`DeviceError::RootCa`].
    pub async fn get(place: &str) -> Result<Self, Error> {
        let Some(url) = place.parse::<Url>().ok().filter(|url| matches!(url.scheme(), "https" | "http")) else {
            return Self::read(Path::new(place));
        };
        if !http::is_private(&url) {
            return Err(DeviceError::RootCa("the url is neither https nor this machine's".into()).into());
        }
        match Http::default().get(&url, &HeaderMap::new(), MAX_BYTES).await {
            Ok(Fetched::Body(text)) => Self::parse(&text, place),
            Ok(Fetched::Elsewhere(_)) => Err(DeviceError::RootCa("the url leads to another one".into()).into()),
            Err(error) => Err(DeviceError::RootCa(error.into()).into()),
        }
    }

    /// The first.
    ///
    /// # Panics
    /// Never: there is one.
    #[must_use]
    pub fn first(&self) -> &Certificate {
        self.0.first().expect("there is a certificate")
    }

    /// All of them in PEM, and nothing else.
    #[must_use]
    pub fn to_pem(&self) -> String {
        self.0.iter().map(|certificate| line_ended(certificate.to_pem())).collect()
    }

    fn parse(text: &[u8], what: &str) -> Result<Self, Error> {
        let none = || DeviceError::NoCertificate { what: what.to_owned() };
        let mut rest = str::from_utf8(text).map_err(|_| none())?;
        let mut found = Vec::new();
        while let Some(begin) = rest.find(BEGIN) {
            let end = rest[begin..].find(END).ok_or_else(none)? + begin + END.len();
            let certificate = Certificate::from_pem(&format!("{}\n", &rest[begin..end]));
            found.push(certificate.map_err(|source| DeviceError::Pki { what: what.to_owned(), source })?);
            rest = &rest[end..];
        }
        if found.is_empty() { Err(none().into()) } else { Ok(Self(found)) }
    }
}

pub(crate) fn line_ended(pem: String) -> String {
    if pem.ends_with('\n') { pem } else { pem + "\n" }
}

#[cfg(test)]
mod tests {
    use pki::{KeyKind, Subject, SubjectFields, new_root};
    use ports::{Clock as _, SystemClock};
    use protocol::SystemRandom;

    use super::*;

    fn pem() -> String {
        let fields = SubjectFields { common_name: Some("root".into()), ..Default::default() };
        let subject = Subject::new(&fields).unwrap();
        let now = SystemClock.unix_seconds();
        new_root(&subject, KeyKind::EcdsaP256, now, 1, &SystemRandom).unwrap().0.to_pem()
    }

    #[test]
    fn certificates_are_taken_out_of_what_stands_around_them() {
        let (first, second) = (pem(), pem());
        let file = CertificateFile::parse(format!("# roots\r\n{first}\nCN=b\n{second}").as_bytes(), "x").unwrap();
        assert_eq!(file.first().to_pem(), first);
        assert_eq!(file.to_pem(), line_ended(first) + &line_ended(second));
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        let cut = pem();
        for text in ["", "<html>", &cut[..cut.len() - 40], &cut.replace("CERTIFICATE", "CERTIFICATE REQUEST")] {
            let refused = CertificateFile::parse(text.as_bytes(), "x");
            assert!(matches!(refused, Err(Error::Device(DeviceError::NoCertificate { .. }))), "{text}");
        }
        let garbage = CertificateFile::parse(format!("{BEGIN}\nAAAA\n{END}\n").as_bytes(), "x");
        assert!(matches!(garbage, Err(Error::Device(DeviceError::Pki { .. }))));
    }

    #[tokio::test]
    async fn roots_do_not_come_in_the_clear() {
        let refused = CertificateFile::get("http://example.com/root.pem").await;
        assert!(matches!(refused, Err(Error::Device(DeviceError::RootCa(_)))));
    }
}
