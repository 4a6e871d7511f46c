use std::collections::BTreeMap;

use countersign::{Certificate, CertificateFile, DeviceError, DeviceFiles, DeviceOrder, Error, Provisioned, PublicKey};

use crate::{
    commands::{print, print_json, tell, usage},
    device_args::Provision,
    device_commands::{BROKER, client, line},
    progress::waiting_for,
    provision_order::{Prepared, check, prepare},
};

pub(crate) async fn provision(provision: Provision) -> Result<(), Error> {
    let Provision { template, parameters, source, key, subject, out, json, access } = provision;
    let parameters = unique(parameters).unwrap_or_else(|name| usage(&format!("parameter {name} is given twice")));
    let files = DeviceFiles::new(&out.out, out.force);
    let (client, _) = client(&access).await?;
    let root_ca = match &out.root_ca {
        Some(place) => Some(waiting_for("the root CA", CertificateFile::get(place)).await?),
        None => None,
    };
    let ca = out.ca_certificate.as_deref().map(CertificateFile::read).transpose()?;
    if let Err(message) = check(&source, &key, &subject.fields()) {
        usage(message);
    }
    let prepared = prepare(source, key, subject.fields(), &files)?;
    let Prepared { certificate, public_key, mut reserved, is_made_here } = prepared;
    let order = DeviceOrder { template: template.into(), parameters, certificate };
    let received = waiting_for(BROKER, client.provision(&order)).await.and_then(|provisioned| {
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
        if let Some(chain) = chain(certificate, ca, provisioned.ca_certificate_pem.as_deref())? {
            write("chain", "chain.pem", &(pem + &chain))?;
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

/// What stands above a certificate: the file's, which must have signed it, or else what the broker says has.
fn chain(
    certificate: &Certificate,
    file: Option<CertificateFile>,
    told: Option<&str>,
) -> Result<Option<String>, Error> {
    if let Some(file) = file {
        let signed = certificate.is_signed_by(file.first());
        return if signed { Ok(Some(file.to_pem())) } else { Err(DeviceError::ForeignCa.into()) };
    }
    let told = told.and_then(|pem| Certificate::from_pem(pem).ok());
    Ok(told.filter(|ca| certificate.is_signed_by(ca)).map(|ca| ca.to_pem()))
}

/// Whether the device may have been provisioned all the same.
fn is_left_open(error: &Error) -> bool {
    matches!(
        error,
        Error::Device(DeviceError::Unknown { .. } | DeviceError::ForeignCertificate) | Error::Unexpected { .. }
    )
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

fn with_line_end(pem: String) -> String {
    if pem.ends_with('\n') { pem } else { pem + "\n" }
}

#[cfg(test)]
mod tests {
    use countersign::{KeyKind, Subject, SubjectFields};
    use ports::{Clock as _, SystemClock};
    use protocol::SystemRandom;

    use super::*;

    #[test]
    fn a_certificate_of_another_key_is_not_taken() {
        let root = || {
            let fields = SubjectFields { common_name: Some("a".into()), ..Default::default() };
            let now = SystemClock.unix_seconds();
            pki::new_root(&Subject::new(&fields).unwrap(), KeyKind::EcdsaP256, now, 1, &SystemRandom).unwrap().0
        };
        let (certificate, other) = (root(), root());
        let answer = |certificate_pem| Provisioned {
            ca_certificate_pem: None,
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
