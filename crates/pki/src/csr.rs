use x509_cert::{
    attr::Attribute,
    der::{
        Tag, TagNumber,
        oid::{
            AssociatedOid as _,
            db::{
                rfc2985::PKCS_9_AT_CHALLENGE_PASSWORD,
                rfc5280::{ID_CE_SUBJECT_ALT_NAME, ID_KP_CLIENT_AUTH},
                rfc5912::ID_EXTENSION_REQ,
            },
        },
    },
    ext::{
        Extension, Extensions,
        pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage},
    },
    request::{CertReq, Version},
};

use crate::{
    PkiError, PublicKey, Subject,
    encoding::{bit_string, der, exact, sequence, wrapped},
    extension, pem,
    signing_key::SigningKey,
};

pub(crate) const PEM_LABEL: &str = "CERTIFICATE REQUEST";

/// A certificate signing request (PKCS#10, RFC 2986) whose signature holds, and which asks for nothing beyond what every
/// device certificate has.
///
/// The signature proves that whoever made the request had the private key then. Not checked: when, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Csr {
    der: Vec<u8>,
    subject: Subject,
    public_key: PublicKey,
}

impl Csr {
    /// Reads one PEM block (RFC 7468 section 7) of at most [`MAX_PEM_BYTES`](crate::MAX_PEM_BYTES), with white space
    /// alone around it.
    ///
    /// # Errors
    /// [`PkiError`], a variant for each reason.
    pub fn from_pem(pem: &str) -> Result<Self, PkiError> {
        let bytes = pem::single(pem, PEM_LABEL)?;
        let request: CertReq = exact(&bytes).ok_or(PkiError::MalformedCsr)?;
        let subject = Subject::from_name(&request.info.subject)?;
        let public_key = PublicKey::of_device(&request.info.public_key)?;
        // `exact` has shown that encoding it anew gives the bytes that were signed.
        public_key.verify(&request.algorithm, &der(&request.info), &request.signature)?;
        for attribute in request.info.attributes.iter() {
            accept(attribute, &public_key)?;
        }
        if request.info.attributes.len() > 1 {
            return Err(PkiError::RequestedAttribute);
        }
        Ok(Self { der: bytes, subject, public_key })
    }

    pub(crate) fn sign(key: &SigningKey, subject: &Subject) -> Result<Self, PkiError> {
        let attributes = wrapped(Tag::ContextSpecific { constructed: true, number: TagNumber(0) }, Vec::new());
        let der = sign(key, subject, &attributes)?;
        Ok(Self { der, subject: subject.clone(), public_key: key.public().clone() })
    }

    /// Writes it anew from its DER, so that nothing beside it is passed on.
    #[must_use]
    pub fn to_pem(&self) -> String {
        pem::encode(PEM_LABEL, &self.der)
    }

    /// The name that it asks for.
    #[must_use]
    pub const fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The key that it was signed with.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.public_key
    }
}

/// Makes a request in DER; the attributes are in DER already.
pub(crate) fn sign(key: &SigningKey, subject: &Subject, attributes: &[u8]) -> Result<Vec<u8>, PkiError> {
    let info = sequence(&[&der(&Version::V1), subject.as_der(), key.public().as_der(), attributes]);
    let signature = bit_string(&key.sign(&info)?);
    Ok(sequence(&[&info, &der(&key.algorithm()), &signature]))
}

/// Of the attributes of RFC 2985 section 5.4, just the request for extensions.
fn accept(attribute: &Attribute, public_key: &PublicKey) -> Result<(), PkiError> {
    if attribute.oid == PKCS_9_AT_CHALLENGE_PASSWORD {
        return Err(PkiError::ChallengePassword);
    }
    let (ID_EXTENSION_REQ, [value]) = (attribute.oid, attribute.values.as_slice()) else {
        return Err(PkiError::RequestedAttribute);
    };
    let value = der(value);
    let extensions: Extensions = exact(&value).ok_or(PkiError::MalformedCsr)?;
    for (at, extension) in extensions.iter().enumerate() {
        if extensions[..at].iter().any(|earlier| earlier.extn_id == extension.extn_id) {
            return Err(PkiError::RequestedExtension);
        }
        accept_extension(extension, public_key)?;
    }
    Ok(())
}

fn accept_extension(extension: &Extension, public_key: &PublicKey) -> Result<(), PkiError> {
    let value = extension.extn_value.as_bytes();
    match extension.extn_id {
        ID_CE_SUBJECT_ALT_NAME => Err(PkiError::RequestedAltName),
        BasicConstraints::OID => match exact(value).ok_or(PkiError::MalformedCsr)? {
            BasicConstraints { ca: false, path_len_constraint: None } => Ok(()),
            BasicConstraints { .. } => Err(PkiError::RequestedAuthority),
        },
        KeyUsage::OID => {
            let KeyUsage(asked) = exact(value).ok_or(PkiError::MalformedCsr)?;
            let granted = extension::device_usages(public_key);
            if granted.contains(asked) { Ok(()) } else { Err(PkiError::RequestedUsage) }
        }
        ExtendedKeyUsage::OID => {
            let ExtendedKeyUsage(asked) = exact(value).ok_or(PkiError::MalformedCsr)?;
            if asked == [ID_KP_CLIENT_AUTH] { Ok(()) } else { Err(PkiError::RequestedUsage) }
        }
        _ => Err(PkiError::RequestedExtension),
    }
}
