//! A CA with an intermediate, in memory.

use pki::{Authority, Certificate, DeviceKey, KeyKind, Order, Subject, SubjectFields, new_upper_root};
use protocol::SystemRandom;

/// When it begins, Unix time in seconds.
pub(crate) const NOW: u64 = 1_800_000_000;

pub(crate) struct Ca {
    root: Certificate,
    intermediate: Authority,
}

impl Ca {
    pub(crate) fn new() -> Self {
        let (root, key) =
            new_upper_root(&subject("Example Root"), KeyKind::EcdsaP256, NOW, 3650, &SystemRandom).unwrap();
        let upper = Authority::new(root.clone(), key.expose()).unwrap();
        let key = Self::key();
        let name = subject("Example Intermediate");
        let order = Order { subject: &name, public_key: &key.public_key(), now: NOW, days: 365 };
        let intermediate = upper.issue_intermediate(&order, &SystemRandom).unwrap();
        Self { root, intermediate: Authority::new(intermediate, key.to_pem().expose()).unwrap() }
    }

    pub(crate) fn key() -> DeviceKey {
        DeviceKey::generate(KeyKind::EcdsaP256).unwrap()
    }

    pub(crate) const fn root(&self) -> &Certificate {
        &self.root
    }

    pub(crate) fn intermediate(&self) -> Certificate {
        self.intermediate.certificate().clone()
    }

    /// A certificate of a day.
    pub(crate) fn issue(&self, name: &str, key: &DeviceKey, now: u64) -> Certificate {
        let (subject, public_key) = (subject(name), key.public_key());
        self.intermediate
            .issue(&Order { subject: &subject, public_key: &public_key, now, days: 1 }, &SystemRandom)
            .unwrap()
    }
}

fn subject(name: &str) -> Subject {
    Subject::new(&SubjectFields { common_name: Some(name.into()), ..SubjectFields::default() }).unwrap()
}
