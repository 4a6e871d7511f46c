//! The certificates of a step-ca: a root, an intermediate, and leaves.

use std::{fs, process::Command};

use pki::{Authority, Certificate, DeviceKey, KeyKind, Order, Subject, SubjectFields, new_upper_root};
use protocol::SystemRandom;

use super::NOW;

pub struct StepCa {
    pub root: Certificate,
    pub intermediate: Authority,
}

/// A certificate with its key.
pub struct Leaf {
    pub certificate: Certificate,
    pub key: DeviceKey,
}

pub fn subject(name: &str) -> Subject {
    Subject::new(&SubjectFields { common_name: Some(name.to_owned()), ..SubjectFields::default() }).unwrap()
}

impl StepCa {
    pub fn new() -> Self {
        let (root, root_key) = new_upper_root(&subject("Root"), KeyKind::EcdsaP256, NOW, 3_650, &SystemRandom).unwrap();
        let upper = Authority::new(root.clone(), root_key.expose()).unwrap();
        let key = DeviceKey::generate(KeyKind::EcdsaP256).unwrap();
        let public_key = key.public_key();
        let order = Order { subject: &subject("Intermediate"), public_key: &public_key, now: NOW, days: 3_000 };
        let certificate = upper.issue_intermediate(&order, &SystemRandom).unwrap();
        Self { root, intermediate: Authority::new(certificate, key.to_pem().expose()).unwrap() }
    }

    pub fn ca_json(&self) -> String {
        let fingerprint: String = self.root.sha256().iter().map(|byte| format!("{byte:02x}")).collect();
        format!(
            r#"{{"url":"https://ca.example.com:9000","fingerprint":"{fingerprint}","provisioner":{{"type":"JWK","name":"countersign"}}}}"#
        )
    }

    /// A certificate of this common name.
    pub fn leaf(&self, name: &str) -> Leaf {
        let key = DeviceKey::generate(KeyKind::EcdsaP256).unwrap();
        let public_key = key.public_key();
        let order = Order { subject: &subject(name), public_key: &public_key, now: NOW, days: 1 };
        Leaf { certificate: self.intermediate.issue(&order, &SystemRandom).unwrap(), key }
    }

    /// A certificate with its chain, as a client shows it.
    pub fn shown(&self, leaf: &Leaf) -> String {
        [&leaf.certificate, self.intermediate.certificate(), &self.root].map(Certificate::to_pem).concat()
    }
}

/// A certificate of this common name and serial number that the holder of another one signed, who is no authority. OpenSSL makes it,
/// since nothing of ours does.
pub fn forged(by: &Leaf, name: &str, serial: &str) -> Certificate {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    file("ca.pem", &by.certificate.to_pem());
    file("ca-key.pem", by.key.to_pem().expose());
    file("request.pem", &DeviceKey::generate(KeyKind::EcdsaP256).unwrap().csr(&subject(name)).unwrap().to_pem());
    let arguments = format!("x509 -req -in request.pem -CA ca.pem -CAkey ca-key.pem -set_serial {serial} -days 1");
    let output = Command::new("openssl").args(arguments.split(' ')).current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Certificate::from_pem(&String::from_utf8(output.stdout).unwrap()).unwrap()
}
