//! The authority behind an X5C provisioner: a root that the CA knows, an intermediate, and the leaf that signs tokens.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use pki::{Certificate, DeviceKey, KeyKind, Order, Subject, SubjectFields};
use protocol::{Random, Secret};
use serde::{Deserialize, Serialize};

use crate::{KeyError, MAX_KEY_BYTES, ProvisionerName, X5cKey, secret_json};

/// How long a root is valid, in days: twenty years.
pub const ROOT_DAYS: u32 = 7305;

/// How long an intermediate is valid, in days: ten years.
pub const INTERMEDIATE_DAYS: u32 = 3652;

/// How long a leaf is valid, in days, unless its intermediate ends before. A step-ca gives no certificate that ends after it.
pub const LEAF_DAYS: u32 = 90;

/// What is made once: a root, to be kept offline, and an intermediate that issues leaves.
#[derive(Debug)]
pub struct Authority {
    /// The root's certificate, which the CA is told.
    pub root: Certificate,
    /// The root's private key, PKCS#8 PEM.
    pub root_key: Secret<String>,
    /// The intermediate.
    pub issuer: Issuer,
}

/// An intermediate and its private key.
pub struct Issuer {
    authority: pki::Authority,
    key: Secret<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Members {
    key: Secret<String>,
    certificate: String,
}

/// Makes a root and an intermediate, with keys of this kind.
///
/// # Errors
/// [`KeyError::Pki`].
pub fn new_authority(kind: KeyKind, now: u64, random: &(impl Random + ?Sized)) -> Result<Authority, KeyError> {
    let (root, root_key) = pki::new_upper_root(&name("Countersign X5C root")?, kind, now, ROOT_DAYS, random)?;
    let signer = pki::Authority::new(root.clone(), root_key.expose())?;
    let key = DeviceKey::generate(kind)?;
    let (subject, public_key) = (name("Countersign X5C intermediate")?, key.public_key());
    let order = Order { subject: &subject, public_key: &public_key, now, days: INTERMEDIATE_DAYS };
    let certificate = signer.issue_intermediate(&order, random)?;
    let issuer = Issuer::new(certificate, key.to_pem())?;
    Ok(Authority { root, root_key, issuer })
}

/// What to add to `authority.provisioners` in the CA's configuration, for a root.
#[must_use]
pub fn provisioner_json(name: &ProvisionerName, root: &Certificate) -> serde_json::Value {
    serde_json::json!({ "type": "X5C", "name": name, "roots": BASE64_STANDARD.encode(root.to_pem()) })
}

fn name(common_name: &str) -> Result<Subject, KeyError> {
    Ok(Subject::new(&SubjectFields { common_name: Some(common_name.to_owned()), ..SubjectFields::default() })?)
}

impl Authority {
    /// What to add to `authority.provisioners` in the CA's configuration: the root.
    #[must_use]
    pub fn provisioner_json(&self, name: &ProvisionerName) -> serde_json::Value {
        provisioner_json(name, &self.root)
    }
}

impl Issuer {
    /// The last part of the name of the secret that holds it; the first is the stack's, as `<stack>/step-ca`.
    pub const SECRET_NAME: &'static str = "x5c-intermediate";

    /// Reads `{"key": <PKCS#8 PEM>, "certificate": <PEM>}`.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_json(json: &str) -> Result<Self, KeyError> {
        if json.len() > MAX_KEY_BYTES {
            return Err(KeyError::Oversized);
        }
        let Members { key, certificate } = secret_json::read(json).ok_or(KeyError::Malformed)?;
        Self::new(Certificate::from_pem(&certificate)?, key)
    }

    fn new(certificate: Certificate, key: Secret<String>) -> Result<Self, KeyError> {
        let authority = pki::Authority::new(certificate, key.expose())?;
        Ok(Self { authority, key })
    }

    /// The JSON that is read above.
    #[must_use]
    pub fn to_json(&self) -> Secret<String> {
        secret_json::write(&Members { key: self.key.clone(), certificate: self.certificate().to_pem() })
    }

    /// The intermediate's certificate.
    #[must_use]
    pub const fn certificate(&self) -> &Certificate {
        self.authority.certificate()
    }

    /// Makes a new key of the intermediate's kind, P-256 or RSA of 4096 bits, and its certificate: valid for [`LEAF_DAYS`], and no longer
    /// than the intermediate.
    ///
    /// # Errors
    /// [`KeyError::Pki`], of an intermediate that is not valid now as well.
    pub fn new_leaf(&self, now: u64, random: &(impl Random + ?Sized)) -> Result<X5cKey, KeyError> {
        let kind = if self.certificate().public_key()?.is_rsa() { KeyKind::Rsa4096 } else { KeyKind::EcdsaP256 };
        let key = DeviceKey::generate(kind)?;
        let (subject, public_key) = (name("Countersign one-time tokens")?, key.public_key());
        let order = Order { subject: &subject, public_key: &public_key, now, days: LEAF_DAYS };
        let leaf = self.authority.issue_token_signer(&order, random)?;
        X5cKey::new(key, leaf, self.certificate().clone())
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer").field("certificate", self.certificate()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use pki::{PkiError, is_chain};
    use protocol::SystemRandom;

    use super::*;

    const NOW: u64 = 1_800_000_000;
    const DAY: u64 = 86_400;

    fn authority() -> Authority {
        new_authority(KeyKind::EcdsaP256, NOW, &SystemRandom).unwrap()
    }

    #[test]
    fn a_leaf_is_below_an_intermediate_below_the_root() {
        for kind in [KeyKind::EcdsaP256, KeyKind::Rsa4096] {
            let authority = new_authority(kind, NOW, &SystemRandom).unwrap();
            let key = authority.issuer.new_leaf(NOW, &SystemRandom).unwrap();
            assert!(is_chain(&[key.leaf().clone(), key.intermediate().clone(), authority.root.clone()]));
            assert_eq!(key.leaf().not_after(), NOW + 90 * DAY);
            assert!(
                key.is_valid_at(NOW + 90 * DAY) && !key.is_valid_at(NOW + 90 * DAY + 1) && !key.is_valid_at(NOW - 301)
            );
            assert_eq!(key.leaf().public_key().unwrap().is_rsa(), kind == KeyKind::Rsa4096);
            let other = authority.issuer.new_leaf(NOW, &SystemRandom).unwrap();
            assert!(
                other.leaf().public_key() != key.leaf().public_key() && other.leaf().serial() != key.leaf().serial()
            );
        }
    }

    #[test]
    fn a_leaf_ends_with_its_intermediate_and_none_is_made_after_it() {
        let authority = authority();
        let end = authority.issuer.certificate().not_after();
        assert_eq!(end, NOW + u64::from(INTERMEDIATE_DAYS) * DAY);
        let last = authority.issuer.new_leaf(end, &SystemRandom).unwrap();
        assert_eq!(last.leaf().not_after(), end);
        let error = authority.issuer.new_leaf(end + 1, &SystemRandom).unwrap_err();
        assert_eq!(error, KeyError::Pki(PkiError::AuthorityEnded));
    }

    #[test]
    fn what_the_secrets_hold_reads_back() {
        let authority = authority();
        let issuer = Issuer::from_json(authority.issuer.to_json().expose()).unwrap();
        assert_eq!(issuer.certificate(), authority.issuer.certificate());
        let key = issuer.new_leaf(NOW, &SystemRandom).unwrap();
        let again = X5cKey::from_json(key.to_json().expose()).unwrap();
        assert_eq!(again.to_json().expose(), key.to_json().expose());
        let private = authority.root_key.expose().lines().nth(1).unwrap();
        assert!(!format!("{authority:?} {issuer:?} {key:?}").contains(private));
        assert!(!format!("{key:?} {issuer:?}").contains("PRIVATE"));
        let provisioner = authority.provisioner_json(&"countersign".parse().unwrap());
        assert_eq!((&provisioner["type"], &provisioner["name"]), (&"X5C".into(), &"countersign".into()));
        let roots = BASE64_STANDARD.decode(provisioner["roots"].as_str().unwrap()).unwrap();
        assert_eq!(String::from_utf8(roots).unwrap(), authority.root.to_pem());
    }

    #[test]
    fn a_key_without_its_own_chain_is_refused() {
        let Authority { root, issuer, .. } = authority();
        let other = authority();
        let key = issuer.new_leaf(NOW, &SystemRandom).unwrap();
        let second = issuer.new_leaf(NOW, &SystemRandom).unwrap();
        let device = DeviceKey::generate(KeyKind::EcdsaP256).unwrap();
        let (subject, public_key) = (name("device").unwrap(), device.public_key());
        let order = Order { subject: &subject, public_key: &public_key, now: NOW, days: 1 };
        let below = issuer.authority.issue(&order, &SystemRandom).unwrap();
        let root_authority = pki::Authority::new(other.root.clone(), other.root_key.expose()).unwrap();
        let by_root = root_authority.issue_token_signer(&order, &SystemRandom).unwrap();
        let upper = root_authority.issue_intermediate(&order, &SystemRandom).unwrap();
        let json = |key: &Secret<String>, chain: &[&Certificate]| {
            let chain: String = chain.iter().map(|certificate| certificate.to_pem()).collect();
            secret_json::write(&Kept { key: key.clone(), chain })
        };
        let own = key.key_pem();
        let (leaf, intermediate) = (key.leaf(), key.intermediate());
        let foreign = other.issuer.certificate();
        let device = device.to_pem();
        for (name, json, error) in [
            ("leaf_alone", json(&own, &[leaf]), KeyError::MalformedChain),
            ("with_the_root", json(&own, &[leaf, intermediate, &root]), KeyError::MalformedChain),
            ("out_of_order", json(&own, &[intermediate, leaf]), KeyError::MalformedChain),
            ("another_intermediate", json(&own, &[leaf, foreign]), KeyError::MalformedChain),
            ("below_the_root_itself", json(&device, &[&by_root, &other.root]), KeyError::MalformedChain),
            ("key_of_another_leaf", json(&second.key_pem(), &[leaf, intermediate]), KeyError::KeyMismatch),
            ("an_authority", json(&device, &[&upper, &other.root]), KeyError::MalformedChain),
            ("no_certificate", json(&own, &[]), KeyError::Pki(PkiError::MalformedPem)),
        ] {
            assert_eq!(X5cKey::from_json(json.expose()).unwrap_err(), error, "{name}");
        }
        // A device's may sign as well: RSA ones exchange keys besides.
        assert!(X5cKey::from_json(json(&device, &[&below, intermediate]).expose()).is_ok());
        let good = key.to_json();
        for (name, bad) in [
            ("unknown_member", good.expose().replacen('{', r#"{"root":"","#, 1)),
            ("member_twice", good.expose().replacen('{', r#"{"key":"","#, 1)),
            ("list", r#"["",""]"#.to_owned()),
            ("empty", String::new()),
        ] {
            assert_eq!(X5cKey::from_json(&bad).unwrap_err(), KeyError::Malformed, "{name}");
        }
        let large = format!("{}{}", good.expose(), " ".repeat(MAX_KEY_BYTES));
        assert_eq!(X5cKey::from_json(&large).unwrap_err(), KeyError::Oversized);
    }

    #[test]
    fn an_issuer_that_is_no_authority_or_of_another_key_is_refused() {
        let (own, other) = (authority(), authority());
        let leaf = own.issuer.new_leaf(NOW, &SystemRandom).unwrap();
        let json = |key: &Secret<String>, certificate: &Certificate| {
            secret_json::write(&Members { key: key.clone(), certificate: certificate.to_pem() })
        };
        for (name, json, error) in [
            ("a_leaf", json(&leaf.key_pem(), leaf.leaf()), PkiError::NotAnAuthority),
            ("another_key", json(&other.issuer.key, own.issuer.certificate()), PkiError::KeyMismatch),
        ] {
            assert_eq!(Issuer::from_json(json.expose()).unwrap_err(), KeyError::Pki(error), "{name}");
        }
    }

    #[derive(Serialize)]
    struct Kept {
        key: Secret<String>,
        chain: String,
    }
}
