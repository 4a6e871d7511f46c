use pki::{Certificate, PublicKey, is_chain};
use protocol::{AltName, SubjectName};
use serde::Deserialize;

use crate::{Error, step_ca::StepCaError};

/// The most certificates that are taken from an answer.
const MAX_CERTIFICATES: usize = 8;

/// How many seconds later than now a certificate may begin: this machine's clock may be slow, and a CA need not date back.
const CLOCK_TOLERANCE: u64 = 60;

/// A certificate that a CA issued, which follows from its root.
///
/// Every signature holds, from the certificate to the root; what signs may sign; every one is valid at the time that was given, and the
/// first a minute later at the latest; key and names are those that were expected, and a CA may have added names. Not checked: name constraints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The certificate, then what stands above it, without the root.
    chain: Vec<Certificate>,
}

/// What a certificate has to be.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// Of which key.
    pub public_key: &'a PublicKey,
    /// With which names.
    pub names: Names<'a>,
    /// When it has to be valid, Unix time in seconds.
    pub now: u64,
}

/// The names that a certificate has to have.
#[derive(Clone, Copy, Debug)]
pub enum Names<'a> {
    /// This common name, and these beside it.
    These(&'a SubjectName, &'a [AltName]),
    /// Those of this certificate, and no others.
    Of(&'a Certificate),
}

/// The answer to a request for a certificate.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer {
    crt: String,
    ca: Option<String>,
    #[serde(default)]
    cert_chain: Vec<String>,
}

impl Answer {
    /// The certificates, the issued one first.
    pub(super) fn certificates(self) -> Result<Vec<Certificate>, Error> {
        let Self { crt, ca, cert_chain } = self;
        let texts = if cert_chain.is_empty() { [crt].into_iter().chain(ca).collect() } else { cert_chain };
        if texts.len() > MAX_CERTIFICATES {
            return Err(StepCaError::Unusable("it comes with too many others").into());
        }
        let certificates: Result<_, _> = texts.iter().map(|pem| Certificate::from_pem(pem)).collect();
        certificates.map_err(|_| StepCaError::Unusable("it is not one").into())
    }
}

impl Issued {
    /// Checks what came: the certificate, and what stands above it, with or without the root.
    ///
    /// # Errors
    /// [`StepCaError::Unusable`].
    pub fn verify(mut chain: Vec<Certificate>, root: &Certificate, expected: &Expected<'_>) -> Result<Self, Error> {
        let unusable = |reason| Err(StepCaError::Unusable(reason).into());
        if chain.last() != Some(root) {
            chain.push(root.clone());
        }
        let leaf = match chain.as_slice() {
            [leaf, _, ..] if !leaf.is_ca() => leaf,
            _ => return unusable("it is a CA's"),
        };
        if leaf.public_key().as_ref() != Ok(expected.public_key) {
            return unusable("it is for another key");
        }
        if !expected.names.are_of(leaf) {
            return unusable("it is for other names");
        }
        if !is_chain(&chain) {
            return unusable("it does not follow from the CA's root");
        }
        let begins_soon = leaf.not_before() <= expected.now.saturating_add(CLOCK_TOLERANCE);
        let is_over = leaf.not_after() < expected.now;
        if is_over || !begins_soon || !chain[1..].iter().all(|above| above.is_valid_at(expected.now)) {
            return unusable("it, or what stands above it, is not valid at this machine's time");
        }
        chain.pop();
        Ok(Self { chain })
    }

    /// The certificate.
    ///
    /// # Panics
    /// Never: there is one.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        self.chain.first().expect("there is a certificate")
    }

    /// The certificate and what stands above it, without the root.
    #[must_use]
    pub fn chain(&self) -> &[Certificate] {
        &self.chain
    }
}

impl Names<'_> {
    fn are_of(self, leaf: &Certificate) -> bool {
        let Ok(found) = leaf.alt_names() else { return false };
        match self {
            Self::These(subject, others) => {
                let has = |name| found.iter().any(|found| found.is(name));
                leaf.common_name() == Some(subject.as_str()) && others.iter().all(has)
            }
            Self::Of(other) => {
                leaf.subject_text() == other.subject_text() && other.alt_names().is_ok_and(|names| names == found)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step_ca::fixture::{Ca, NOW};

    #[test]
    fn a_certificate_is_what_was_asked_for_and_follows_from_the_root() {
        let (ca, other) = (Ca::new(), Ca::new());
        let key = Ca::key();
        let subject: SubjectName = "alice".parse().unwrap();
        let leaf = ca.issue("alice", &key, NOW);
        let chain = |leaf: &Certificate| vec![leaf.clone(), ca.intermediate()];
        let verify = |chain, root: &Ca, subject: &str, names: &[AltName], now| {
            let (public_key, subject) = (key.public_key(), subject.parse().unwrap());
            let expected = Expected { public_key: &public_key, names: Names::These(&subject, names), now };
            Issued::verify(chain, root.root(), &expected)
        };
        let issued = verify(chain(&leaf), &ca, "alice", &[], NOW).unwrap();
        assert_eq!(issued.chain(), chain(&leaf));
        assert_eq!(issued.certificate().common_name(), Some(subject.as_str()));
        let with_root = vec![leaf.clone(), ca.intermediate(), ca.root().clone()];
        assert_eq!(verify(with_root, &ca, "alice", &[], NOW).unwrap(), issued, "the root is not kept");
        let foreign_key = ca.issue("alice", &Ca::key(), NOW);
        let name = "web.example.com".parse().unwrap();
        for (name, refused) in [
            ("nothing", verify(vec![], &ca, "alice", &[], NOW)),
            ("the root alone", verify(vec![ca.root().clone()], &ca, "alice", &[], NOW)),
            ("an intermediate", verify(vec![ca.intermediate()], &ca, "alice", &[], NOW)),
            ("another key", verify(chain(&foreign_key), &ca, "alice", &[], NOW)),
            ("another subject", verify(chain(&leaf), &ca, "bob", &[], NOW)),
            ("a name that is missing", verify(chain(&leaf), &ca, "alice", &[name], NOW)),
            ("another root", verify(chain(&leaf), &other, "alice", &[], NOW)),
            ("no intermediate", verify(vec![leaf.clone()], &ca, "alice", &[], NOW)),
            ("another intermediate", verify(vec![leaf.clone(), other.intermediate()], &ca, "alice", &[], NOW)),
            ("too early", verify(chain(&leaf), &ca, "alice", &[], NOW - 3600)),
            ("too late", verify(chain(&leaf), &ca, "alice", &[], leaf.not_after() + 1)),
        ] {
            assert!(matches!(refused, Err(Error::StepCa(StepCaError::Unusable(_)))), "{name}: {refused:?}");
        }
    }

    #[test]
    fn a_renewed_certificate_has_the_names_of_the_one_before() {
        let ca = Ca::new();
        let key = Ca::key();
        let (alice, again, bob) =
            (ca.issue("alice", &key, NOW), ca.issue("alice", &key, NOW + 60), ca.issue("bob", &key, NOW));
        let verify = |renewed: &Certificate| {
            let public_key = key.public_key();
            let expected = Expected { public_key: &public_key, names: Names::Of(&alice), now: NOW + 60 };
            Issued::verify(vec![renewed.clone(), ca.intermediate()], ca.root(), &expected)
        };
        assert!(verify(&again).is_ok());
        assert!(verify(&bob).is_err());
    }

    #[test]
    fn an_answer_gives_the_chain_or_certificate_and_ca() {
        let ca = Ca::new();
        let leaf = ca.issue("alice", &Ca::key(), NOW);
        let (leaf_pem, above) = (leaf.to_pem(), ca.intermediate().to_pem());
        let read = |json: serde_json::Value| serde_json::from_value::<Answer>(json).unwrap().certificates();
        let whole =
            serde_json::json!({ "crt": leaf_pem, "ca": above, "certChain": [leaf_pem, above], "tlsOptions": {} });
        let older = serde_json::json!({ "crt": leaf_pem, "ca": above });
        for answer in [whole, older] {
            assert_eq!(read(answer).unwrap(), [leaf.clone(), ca.intermediate()]);
        }
        let many = serde_json::json!({ "crt": leaf_pem, "certChain": vec![leaf_pem.clone(); 9] });
        assert!(read(many).is_err());
        assert!(read(serde_json::json!({ "crt": "pem" })).is_err());
    }
}
