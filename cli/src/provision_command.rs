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
    let pem = with_line_end(certificate.to_pem());
    write("certificate", "certificate.pem", &pem)?;
    if let Some(root_ca) = root_ca {
        write("root CA", "root-ca.pem", &root_ca.to_pem())?;
    }
    if let Some(ca) = ca {
        if !certificate.is_signed_by(ca.first()) {
            return Err(DeviceError::ForeignCa.into());
        }
        write("chain", "chain.pem", &(pem + &ca.to_pem()))?;
    }
    if json {
        return print_json(&provisioned);
    }
    let id = ("certificate id", certificate.id().to_string());
    let mut text: String = lines.iter().chain([&id]).map(|(what, value)| line(what, value)).collect();
    text.extend(provisioned.resource_arns.iter().map(|(name, arn)| line(name, arn)));
    print(text.as_bytes())
}

/// The certificate that came, which must be of the key that is here.
fn certificate_of(provisioned: &Provisioned, public_key: Option<&PublicKey>) -> Result<Certificate, Error> {
    let certificate =
        Certificate::from_pem(&provisioned.certificate_pem).map_err(|_| DeviceError::ForeignCertificate)?;
    match public_key {
        Some(wanted) if certificate.public_key().ok().as_ref() != Some(wanted) => {
            Err(DeviceError::ForeignCertificate.into())
        }
        _ => Ok(certificate),
    }
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
