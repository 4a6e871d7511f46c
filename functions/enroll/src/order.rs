use policy::Action;
use protocol::{AltName, CsrDigest, SubjectName};
use step::{Purpose, SerialNumber};

use crate::{certificate_owner::Owner, channel::Channel};

/// What a one-time token is wanted for.
#[derive(Debug)]
pub(crate) enum Order {
    /// A certificate.
    Sign {
        subject: SubjectName,
        /// Beside the subject; none: the subject alone.
        sans: Vec<AltName>,
        csr: Option<CsrDigest>,
    },
    /// The revocation of one.
    Revoke {
        serial: SerialNumber,
        /// Whose it is, where it was shown.
        owner: Option<Owner>,
    },
}

impl Order {
    /// Whether this subject's code is for this: it is the subject's own certificate.
    pub(crate) fn is_of(&self, other: &SubjectName) -> bool {
        match self {
            Self::Sign { subject, .. } => subject == other,
            Self::Revoke { owner, .. } => owner.as_ref().is_some_and(|owner| owner.name() == other.as_str()),
        }
    }

    /// The names that a certificate is to have beside its subject, as texts.
    pub(crate) fn other_names(&self) -> Vec<String> {
        match self {
            Self::Sign { subject, sans, .. } => {
                sans.iter().map(AltName::to_string).filter(|name| name != subject.as_str()).collect()
            }
            Self::Revoke { .. } => Vec::new(),
        }
    }

    /// What policy is asked: about each name, or about the serial number.
    pub(crate) fn actions<'a>(&'a self, other_names: &'a [String], channel: Option<Channel>) -> Vec<Action<'a>> {
        let channel = channel.map(Channel::as_str);
        match self {
            Self::Sign { subject, .. } => {
                let subject = subject.as_str();
                let names = std::iter::once(subject).chain(other_names.iter().map(String::as_str));
                names.map(|name| Action::EnrollCertificate { name, subject, channel }).collect()
            }
            Self::Revoke { serial, owner } => {
                let subject = owner.as_ref().map(Owner::name);
                vec![Action::RevokeCertificate { serial: serial.as_str(), subject, channel }]
            }
        }
    }

    /// What the registrar is asked for.
    pub(crate) fn purpose(&self) -> Purpose<'_> {
        match self {
            Self::Sign { subject, sans, csr } => Purpose::Sign { subject, sans, csr: csr.as_ref() },
            Self::Revoke { serial, .. } => Purpose::Revoke { serial },
        }
    }
}
