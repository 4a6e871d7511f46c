use protocol::{AltName, CsrDigest};
use x509_cert::der::{
    Tag, TagNumber,
    asn1::OctetString,
    oid::db::{rfc5280::ID_CE_SUBJECT_ALT_NAME, rfc5912::ID_EXTENSION_REQ},
};

use crate::{
    PkiError, Subject,
    certified_name::general_name,
    csr,
    encoding::{der, sequence, wrapped},
    pem,
    signing_key::SigningKey,
};

/// A certificate signing request (PKCS#10, RFC 2986) that asks for names beside the subject's: for a step-ca. It is made here and
/// never read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedRequest {
    der: Vec<u8>,
}

impl NamedRequest {
    pub(crate) fn sign(key: &SigningKey, subject: &Subject, names: &[AltName]) -> Result<Self, PkiError> {
        let attributes = if names.is_empty() { Vec::new() } else { extension_request(names) };
        let attributes = wrapped(Tag::ContextSpecific { constructed: true, number: TagNumber(0) }, attributes);
        csr::sign(key, subject, &attributes).map(|der| Self { der })
    }

    /// Its DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The SHA-256 of its DER, which a one-time token may name.
    #[must_use]
    pub fn digest(&self) -> CsrDigest {
        CsrDigest::of(&self.der)
    }

    /// Writes it as PEM.
    #[must_use]
    pub fn to_pem(&self) -> String {
        pem::encode(csr::PEM_LABEL, &self.der)
    }
}

/// The attribute of RFC 2985 section 5.4.2, with subjectAltName. It is not critical: the subject is not empty.
fn extension_request(names: &[AltName]) -> Vec<u8> {
    let names = wrapped(Tag::Sequence, names.iter().flat_map(general_name).collect());
    let names = OctetString::new(names).expect("32 names have a length that DER can write");
    let extension = sequence(&[&der(&ID_CE_SUBJECT_ALT_NAME), &der(&names)]);
    let values = wrapped(Tag::Set, sequence(&[&extension]));
    sequence(&[&der(&ID_EXTENSION_REQ), &values])
}
