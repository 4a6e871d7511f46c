use std::{fs, path::Path};

use countersign::{
    Certificate, CertificateFile, Error,
    enrollment::{CertificateFiles, Validity},
    step_ca::{Expected, Issued, Names},
};
use ports::{Clock as _, SystemClock};
use serde::Serialize;
use step::RootFingerprint;

use crate::{
    cert_args::Inspect,
    commands::{print, print_json},
    device_commands::line,
    token_commands::time,
};

/// What a certificate says.
#[derive(Serialize)]
struct Said {
    subject: String,
    /// `None` where they are malformed.
    names: Option<Vec<String>>,
    issuer: String,
    serial_number: String,
    not_before: String,
    not_after: String,
    key: String,
    sha256: String,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    folder: Option<Folder>,
}

/// What its folder says besides.
#[derive(Serialize)]
struct Folder {
    ca: String,
    fingerprint: String,
    /// Whether the certificate follows from the root, and is the key's, or why not.
    chain: String,
    renewal: String,
}

pub(crate) fn inspect(Inspect { place, json }: &Inspect) -> Result<(), Error> {
    let now = SystemClock.unix_seconds();
    let said = if fs::metadata(place).is_ok_and(|metadata| metadata.is_dir()) {
        let files = CertificateFiles::in_folder(place);
        let chain = files.certificates()?;
        let certificate = chain.first().expect("a chain has a certificate").clone();
        let folder = folder(place, &files, chain, now)?;
        Said::of(&certificate, now, Some(folder))
    } else {
        Said::of(CertificateFile::read(place)?.first(), now, None)
    };
    if *json { print_json(&said) } else { print(said.text().as_bytes()) }
}

fn folder(place: &Path, files: &CertificateFiles, chain: Vec<Certificate>, now: u64) -> Result<Folder, Error> {
    let record = CertificateFiles::ca(place)?;
    let certificate = chain.first().expect("a chain has a certificate").clone();
    let verified = files.root(Some(&record.fingerprint)).and_then(|root| {
        let public_key = files.key()?.public_key();
        // Whether it is over is told by its state.
        let at = now.clamp(certificate.not_before(), certificate.not_after());
        let expected = Expected { public_key: &public_key, names: Names::These(&record.subject, &[]), now: at };
        Issued::verify(chain, &root, &expected)
    });
    Ok(Folder {
        ca: record.url.to_string(),
        fingerprint: record.fingerprint.to_string(),
        chain: verified.map_or_else(|error| error.to_string(), |_| "follows from the root, and is the key's".into()),
        renewal: time(Validity::of(&certificate).two_thirds()),
    })
}

impl Said {
    fn of(certificate: &Certificate, now: u64, folder: Option<Folder>) -> Self {
        let names = certificate.alt_names().ok();
        let (from, until) = (certificate.not_before(), certificate.not_after());
        Self {
            subject: certificate.subject_text(),
            names: names.map(|names| names.iter().map(ToString::to_string).collect()),
            issuer: certificate.issuer_text(),
            serial_number: certificate.serial_decimal(),
            not_before: time(from),
            not_after: time(until),
            key: certificate.public_key().map_or_else(|_| "of another kind".into(), |key| key.kind_text()),
            sha256: RootFingerprint::of(certificate.der()).to_string(),
            state: if now < from {
                "not valid yet"
            } else if now > until {
                "ended"
            } else {
                "valid"
            },
            folder,
        }
    }

    fn text(&self) -> String {
        let mut text = line("subject", &self.subject);
        match &self.names {
            Some(names) => text.extend(names.iter().map(|name| line("name", name))),
            None => text += &line("names", "malformed"),
        }
        text += &line("issuer", &self.issuer);
        text += &line("serial number", &self.serial_number);
        text += &line("valid from", &self.not_before);
        text += &line("valid until", &self.not_after);
        text += &line("key", &self.key);
        text += &line("sha256", &self.sha256);
        text += &line("state", self.state);
        if let Some(Folder { ca, fingerprint, chain, renewal }) = &self.folder {
            text += &line("ca", ca);
            text += &line("root", fingerprint);
            text += &line("chain", chain);
            text += &line("renewal", renewal);
        }
        text
    }
}
