use std::{fs, path::Path};

use countersign::{
    Certificate, CertificateOrder, CertificateStatus, CertificateSubject, Csr, DeviceError, DeviceFiles, DeviceKey,
    Error, KeyKind, PkiError, PublicKey, ReservedKey, Secret, Subject, SubjectFields,
};

use crate::device_args::{Key, Source};

/// The largest key, request or certificate that is read.
const MAX_PEM_BYTES: u64 = 16 * 1024;

/// What is asked for, and what is here already.
#[derive(Default)]
pub(crate) struct Prepared {
    pub(crate) certificate: Option<CertificateOrder>,
    /// Of which key the certificate has to be, where that is known.
    pub(crate) public_key: Option<PublicKey>,
    /// A key that was made for it, or a place for the one that may come.
    pub(crate) reserved: Option<ReservedKey>,
    pub(crate) is_made_here: bool,
}

/// Which options don't go together, as far as their names alone don't tell.
pub(crate) fn check(source: &Source, key: &Key, subject: &SubjectFields) -> Result<(), &'static str> {
    let has_subject = *subject != SubjectFields::default();
    let has_key = key.csr.is_some() || key.device_key.is_some() || key.broker_key || key.key_type.is_some();
    let is_signed = source.ca.is_some() || source.private_ca.is_some();
    if !is_signed && (has_key || has_subject || key.days.is_some()) {
        return Err("--ca or --private-ca is required with a subject, --days, --csr and the options of keys");
    }
    if key.csr.is_some() && has_subject {
        return Err("--csr has a subject already");
    }
    if is_signed && key.csr.is_none() && !has_subject {
        return Err("a subject is required: --common-name and its like, or --csr");
    }
    if key.broker_key && subject.country.is_none() {
        return Err("--country is required with --broker-key");
    }
    Ok(())
}

/// Makes the key and the request that are needed. A new key is on disk when this returns.
pub(crate) fn prepare(source: Source, key: Key, fields: SubjectFields, files: &DeviceFiles) -> Result<Prepared, Error> {
    let Source { ca, private_ca, iot_ca, certificate, inactive } = source;
    if let Some(path) = certificate {
        let pem = read(&path)?;
        let public_key = Certificate::from_pem(pem.expose()).and_then(|certificate| certificate.public_key());
        let public_key = public_key.map_err(|source| of_file(&path, source))?;
        let status = inactive.then_some(CertificateStatus::Inactive);
        let certificate = Some(CertificateOrder::AsItIs { pem: pem.expose().clone(), status });
        return Ok(Prepared { certificate, public_key: Some(public_key), ..Prepared::default() });
    }
    if ca.is_none() && private_ca.is_none() {
        return Ok(Prepared { reserved: Some(files.reserve_key()?), ..Prepared::default() });
    }
    let days = key.days;
    let (subject, public_key, reserved) = if let Some(path) = key.csr {
        let csr = Csr::from_pem(read(&path)?.expose()).map_err(|source| of_file(&path, source))?;
        (CertificateSubject::Csr { csr: csr.to_pem(), days }, Some(csr.public_key().clone()), None)
    } else if key.broker_key {
        let subject = CertificateSubject::Fields { fields, days, key_kind: key.key_type };
        (subject, None, Some(files.reserve_key()?))
    } else {
        let subject = Subject::new(&fields).map_err(|source| of("the subject", source))?;
        let (made, reserved) = match &key.device_key {
            Some(path) => (DeviceKey::from_pem(read(path)?.expose()).map_err(|source| of_file(path, source))?, None),
            None => {
                let mut reserved = files.reserve_key()?;
                let kind = key.key_type.unwrap_or(KeyKind::EcdsaP256);
                let made = DeviceKey::generate(kind).map_err(|source| of("a new key", source))?;
                reserved.write(&made.to_pem())?;
                (made, Some(reserved))
            }
        };
        let csr = made.csr(&subject).map_err(|source| of("the key", source))?;
        (CertificateSubject::Csr { csr: csr.to_pem(), days }, Some(made.public_key()), reserved)
    };
    let certificate = match (ca, private_ca) {
        (Some(ca), _) => CertificateOrder::OwnCa { ca, subject },
        (None, private_ca) => {
            let ca = private_ca.expect("one of the two is given");
            CertificateOrder::PrivateCa { ca, iot_ca, subject }
        }
    };
    let is_made_here = public_key.is_some();
    Ok(Prepared { certificate: Some(certificate), public_key, reserved, is_made_here })
}

fn read(path: &Path) -> Result<Secret<String>, Error> {
    let failed = |source| Error::File { action: "read", path: path.to_owned(), source };
    let text = Secret::new(fs::read_to_string(path).map_err(failed)?);
    if text.expose().len() as u64 > MAX_PEM_BYTES {
        return Err(of_file(path, PkiError::Oversized).into());
    }
    Ok(text)
}

fn of_file(path: &Path, source: PkiError) -> DeviceError {
    of(&path.display().to_string(), source)
}

fn of(what: &str, source: PkiError) -> DeviceError {
    DeviceError::Pki { what: what.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::*;
    use crate::{
        args::{Args, Command},
        device_args::{DeviceCommand, Devices, Provision},
    };

    fn parsed(options: &str) -> Option<Provision> {
        let line = format!("countersign device provision --out o {options}");
        let command = Args::try_parse_from(line.split_whitespace()).ok()?.command;
        let Command::Device(Devices { command: DeviceCommand::Provision(provision) }) = command else { return None };
        Some(*provision)
    }

    fn is_taken(options: &str) -> bool {
        parsed(options).is_some_and(|p| check(&p.source, &p.key, &p.subject.fields()).is_ok())
    }

    #[test]
    fn options_that_contradict_each_other_are_refused() {
        Args::command().debug_assert();
        for taken in [
            "--template a",
            "--group-path /a/b -p A=b -p C=d=e",
            "--template a --ca b --common-name c",
            "--template a --ca b --common-name c --key-type rsa-2048 --days 3 --force --json",
            "--template a --ca b --csr c --days 3",
            "--template a --ca b --device-key c --common-name d",
            "--template a --ca b --broker-key --country DE",
            "--template a --private-ca b --iot-ca c --common-name d",
            "--template a --certificate b --inactive --token-file -",
        ] {
            assert!(is_taken(taken), "{taken}");
        }
        for refused in [
            "",
            "--template a --group-path /b",
            "--template a -p A",
            "--template a -p =b",
            "--template a --ca b",
            "--template a --ca b --private-ca c --common-name d",
            "--template a --ca b --certificate c --common-name d",
            "--template a --ca b --csr c --common-name d",
            "--template a --ca b --csr c --broker-key",
            "--template a --ca b --csr c --key-type ec-p256",
            "--template a --ca b --common-name c --days 0",
            "--template a --ca b --common-name c --key-type dsa",
            "--template a --ca b --broker-key --common-name c",
            "--template a --common-name b",
            "--template a --csr b",
            "--template a --iot-ca b",
            "--template a --inactive",
            "--template a --certificate b --days 3",
        ] {
            assert!(!is_taken(refused), "{refused}");
        }
    }

    #[test]
    fn a_key_that_is_made_here_is_on_disk_before_it_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let files = DeviceFiles::new(folder.path(), false);
        let Provision { source, key, subject, .. } = parsed("--template a --ca b --common-name c").unwrap();
        let prepared = prepare(source, key, subject.fields(), &files).unwrap();
        let [path] = <[_; 1]>::try_from(fs::read_dir(folder.path()).unwrap().collect::<Vec<_>>()).unwrap();
        let made = DeviceKey::from_pem(&fs::read_to_string(path.unwrap().path()).unwrap()).unwrap();
        let Some(CertificateOrder::OwnCa { subject: CertificateSubject::Csr { csr, .. }, .. }) = prepared.certificate
        else {
            panic!("not a request for the customer's CA")
        };
        assert_eq!(Csr::from_pem(&csr).unwrap().public_key(), &made.public_key());
        assert!(prepared.is_made_here && prepared.public_key == Some(made.public_key()));
    }
}
