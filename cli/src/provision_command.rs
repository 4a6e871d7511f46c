use std::{collections::BTreeMap, fs, path::Path};

use countersign::{
    Certificate, CertificateFile, CertificateOrder, CertificateStatus, CertificateSubject, Csr, DeviceError,
    DeviceFiles, DeviceKey, DeviceOrder, Error, KeyKind, PkiError, Provisioned, PublicKey, ReservedKey, Secret,
    Subject, SubjectFields,
};

use crate::{
    commands::{print, print_json, tell, usage},
    device_args::{Key, Provision, Source},
    device_commands::{client, line},
};

/// The largest key, request or certificate that is read.
const MAX_PEM_BYTES: u64 = 16 * 1024;

/// What is asked for, and what is here already.
#[derive(Default)]
struct Prepared {
    certificate: Option<CertificateOrder>,
    /// Of which key the certificate has to be, where that is known.
    public_key: Option<PublicKey>,
    /// A key that was made for it, or a place for the one that may come.
    reserved: Option<ReservedKey>,
    is_made_here: bool,
}

pub(crate) async fn provision(provision: Provision) -> Result<(), Error> {
    let Provision { template, parameters, source, key, subject, out, json, access } = provision;
    let parameters = unique(parameters).unwrap_or_else(|name| usage(&format!("parameter {name} is given twice")));
    let files = DeviceFiles::new(&out.out, out.force);
    let (client, _) = client(&access).await?;
    let root_ca = match &out.root_ca {
        Some(place) => Some(CertificateFile::get(place).await?),
        None => None,
    };
    let ca = out.ca_certificate.as_deref().map(CertificateFile::read).transpose()?;
    if let Err(message) = check(&source, &key, &subject.fields()) {
        usage(message);
    }
    let prepared = prepare(source, key, subject.fields(), &files)?;
    let Prepared { certificate, public_key, mut reserved, is_made_here } = prepared;
    let order = DeviceOrder { template: template.into(), parameters, certificate };
    let received = client.provision(&order).await.and_then(|provisioned| {
        let certificate = certificate_of(&provisioned, public_key.as_ref());
        // A key that comes is here once: it is kept before all else.
        let key = match (&provisioned.private_key, reserved.take_if(|_| !is_made_here)) {
            (Some(key), Some(mut place)) => {
                place.write(key)?;
                Some(place.settle()?)
            }
            _ => None,
        };
        Ok((provisioned, certificate?, key))
    });
    let (provisioned, certificate, key) = match received {
        Ok(received) => received,
        Err(error) => {
            if let Some(key) = reserved.filter(|_| is_made_here && is_left_open(&error)) {
                tell(&format!("the key of the lost order is in {}", key.leave()?.display()));
            }
            return Err(error);
        }
    };
    let mut lines = Vec::new();
    let key = match reserved {
        Some(made) => Some(made.settle()?),
        None => key,
    };
    lines.extend(key.map(|path| ("key", path.display().to_string())));
    let mut write = |what, name, pem: &str| -> Result<(), Error> {
        lines.push((what, files.write(name, pem.as_bytes())?.display().to_string()));
        Ok(())
    };
    if let Some(root_ca) = root_ca {
        write("root CA", "root-ca.pem", &root_ca.to_pem())?;
    }
    if let Some(certificate) = &certificate {
        let pem = with_line_end(certificate.to_pem());
        write("certificate", "certificate.pem", &pem)?;
        if let Some(ca) = ca {
            if !certificate.is_signed_by(ca.first()) {
                return Err(DeviceError::ForeignCa.into());
            }
            write("chain", "chain.pem", &(pem + &ca.to_pem()))?;
        }
        lines.push(("certificate id", certificate.id().to_string()));
    }
    if json {
        return print_json(&provisioned);
    }
    let mut text: String = lines.iter().map(|(what, value)| line(what, value)).collect();
    text.extend(provisioned.resource_arns.iter().map(|(name, arn)| line(name, arn)));
    print(text.as_bytes())
}

/// The certificate that came, where one did, which must be of the key that is here.
fn certificate_of(provisioned: &Provisioned, wanted: Option<&PublicKey>) -> Result<Option<Certificate>, Error> {
    let certificate = provisioned.certificate_pem.as_deref().map(Certificate::from_pem).transpose();
    let certificate = certificate.map_err(|_| DeviceError::ForeignCertificate)?;
    let found = certificate.as_ref().and_then(|certificate| certificate.public_key().ok());
    if wanted.is_some() && found.as_ref() != wanted {
        return Err(DeviceError::ForeignCertificate.into());
    }
    Ok(certificate)
}

/// Whether the device may have been provisioned all the same.
fn is_left_open(error: &Error) -> bool {
    matches!(
        error,
        Error::Device(DeviceError::Unknown { .. } | DeviceError::ForeignCertificate) | Error::Unexpected { .. }
    )
}

/// Which options don't go together, as far as their names alone don't tell.
fn check(source: &Source, key: &Key, subject: &SubjectFields) -> Result<(), &'static str> {
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
fn prepare(source: Source, key: Key, fields: SubjectFields, files: &DeviceFiles) -> Result<Prepared, Error> {
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

fn unique(parameters: Vec<(String, String)>) -> Result<BTreeMap<String, String>, String> {
    let mut unique = BTreeMap::new();
    for (name, value) in parameters {
        if unique.insert(name.clone(), value).is_some() {
            return Err(name);
        }
    }
    Ok(unique)
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

fn with_line_end(pem: String) -> String {
    if pem.ends_with('\n') { pem } else { pem + "\n" }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};
    use ports::{Clock as _, SystemClock};
    use protocol::SystemRandom;

    use super::*;
    use crate::args::{Args, Command};
    use crate::device_args::DeviceCommand;

    fn parsed(options: &str) -> Option<Provision> {
        let line = format!("countersign device provision --out o {options}");
        match Args::try_parse_from(line.split_whitespace()).ok()?.command {
            Command::Device(devices) => match devices.command {
                DeviceCommand::Provision(provision) => Some(*provision),
                _ => None,
            },
            _ => None,
        }
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

    #[test]
    fn a_certificate_of_another_key_is_not_taken() {
        let root = || {
            let fields = SubjectFields { common_name: Some("a".into()), ..Default::default() };
            let now = SystemClock.unix_seconds();
            pki::new_root(&Subject::new(&fields).unwrap(), KeyKind::EcdsaP256, now, 1, &SystemRandom).unwrap().0
        };
        let (certificate, other) = (root(), root());
        let answer = |certificate_pem| Provisioned {
            certificate_pem,
            public_key: None,
            private_key: None,
            resource_arns: BTreeMap::new(),
        };
        let key = certificate.public_key().unwrap();
        let foreign = |found| matches!(found, Err(Error::Device(DeviceError::ForeignCertificate)));
        let came = certificate_of(&answer(Some(certificate.to_pem())), Some(&key));
        assert_eq!(came.unwrap(), Some(certificate));
        assert!(foreign(certificate_of(&answer(Some(other.to_pem())), Some(&key))));
        assert!(foreign(certificate_of(&answer(None), Some(&key))));
        assert!(foreign(certificate_of(&answer(Some("pem".into())), None)));
        assert_eq!(certificate_of(&answer(None), None).unwrap(), None);
    }
}
