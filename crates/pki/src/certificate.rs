use std::fmt;

use x509_cert::{
    der::{
        Decode as _, Tag, Tagged as _,
        oid::db::{
            rfc4519::COMMON_NAME,
            rfc5280::{ANY_EXTENDED_KEY_USAGE, ID_CE_SUBJECT_ALT_NAME, ID_KP_CLIENT_AUTH},
        },
    },
    ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectKeyIdentifier},
};

use aws_lc_rs::digest::{SHA256, digest};

use crate::{CertificateId, CertifiedName, MAX_CHAIN_BYTES, PkiError, PublicKey, decimal, encoding::fields, name, pem};

const PEM_LABEL: &str = "CERTIFICATE";

/// The most certificates in a chain.
const MAX_CHAIN: usize = 8;

/// The tag of the version, which a certificate of version 1 leaves out.
const VERSION_TAG: u8 = 0xa0;

/// An X.509 certificate (RFC 5280), a device's or an authority's.
///
/// Not checked on reading: its signature, its times, and extensions other than those of [`Certificate::is_ca`].
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    parsed: x509_cert::Certificate,
    /// What is signed, and the two names in it, as they are encoded: their own encoder may have chosen other forms.
    signed: Vec<u8>,
    issuer: Vec<u8>,
    subject: Vec<u8>,
    uses: Uses,
}

/// The extensions that bound what a key is for.
#[derive(Clone, PartialEq, Eq)]
struct Uses {
    is_ca: bool,
    may_sign_certificates: bool,
    may_sign_clients: bool,
    signs_tokens: bool,
    /// How many authorities there may be below it; `None`: any number.
    path_length: Option<u8>,
    key_identifier: Option<Vec<u8>>,
}

impl Certificate {
    /// Reads one PEM block (RFC 7468 section 5), with white space alone around it.
    ///
    /// # Errors
    /// [`PkiError::MalformedPem`] and others of PEM, [`PkiError::MalformedCertificate`].
    pub fn from_pem(pem: &str) -> Result<Self, PkiError> {
        Self::from_der(&pem::single(pem, PEM_LABEL)?)
    }

    /// Reads one or more PEM blocks, in the order in which they stand, with white space alone around them.
    ///
    /// # Errors
    /// As [`Certificate::from_pem`]; [`PkiError::SeveralBlocks`] where there are more than eight.
    pub fn chain_from_pem(pem: &str) -> Result<Vec<Self>, PkiError> {
        let blocks = pem::blocks(pem, MAX_CHAIN_BYTES)?;
        if blocks.is_empty() {
            return Err(PkiError::MalformedPem);
        }
        if blocks.len() > MAX_CHAIN {
            return Err(PkiError::SeveralBlocks);
        }
        let read = |block: &pem::Block<'_>| {
            if block.label != PEM_LABEL {
                return Err(PkiError::WrongLabel);
            }
            Self::from_der(block.decode()?.expose())
        };
        blocks.iter().map(read).collect()
    }

    /// Reads DER.
    ///
    /// # Errors
    /// [`PkiError::MalformedCertificate`].
    pub fn from_der(der: &[u8]) -> Result<Self, PkiError> {
        let malformed = |_| PkiError::MalformedCertificate;
        let parsed = x509_cert::Certificate::from_der(der).map_err(malformed)?;
        let outer = fields(der).map_err(malformed)?;
        let [signed, ..] = outer.as_slice() else { return Err(PkiError::MalformedCertificate) };
        let inner = fields(signed).map_err(malformed)?;
        let has_version = inner.first().is_some_and(|field| field.first() == Some(&VERSION_TAG));
        let [_serial, _algorithm, issuer, _validity, subject, ..] = inner[usize::from(has_version)..] else {
            return Err(PkiError::MalformedCertificate);
        };
        let [signed, issuer, subject] = [signed, issuer, subject].map(<[u8]>::to_vec);
        let uses = Uses::read(&parsed).map_err(malformed)?;
        Ok(Self { der: der.to_vec(), parsed, signed, issuer, subject, uses })
    }

    /// Writes it as PEM.
    #[must_use]
    pub fn to_pem(&self) -> String {
        pem::encode(PEM_LABEL, &self.der)
    }

    /// Its id in AWS IoT.
    #[must_use]
    pub fn id(&self) -> CertificateId {
        CertificateId::of(&self.der)
    }

    /// Its DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The SHA-256 of its DER, which is its fingerprint.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, &self.der).as_ref());
        bytes
    }

    /// The subject's common name, where it has exactly one, as UTF8String or PrintableString.
    #[must_use]
    pub fn common_name(&self) -> Option<&str> {
        let places = self.parsed.tbs_certificate().subject().iter_rdn();
        let mut names = places.flat_map(|values| values.iter()).filter(|attribute| attribute.oid == COMMON_NAME);
        let (Some(name), None) = (names.next(), names.next()) else { return None };
        let is_text = matches!(name.value.tag(), Tag::Utf8String | Tag::PrintableString);
        str::from_utf8(name.value.value()).ok().filter(|_| is_text)
    }

    /// Its names beside the subject's, none where it has no subjectAltName.
    ///
    /// # Errors
    /// [`PkiError::MalformedCertificate`] where the extension is malformed, or there twice.
    pub fn alt_names(&self) -> Result<Vec<CertifiedName>, PkiError> {
        let extensions = self.parsed.tbs_certificate().extensions().map_or(&[][..], Vec::as_slice);
        let mut names = extensions.iter().filter(|extension| extension.extn_id == ID_CE_SUBJECT_ALT_NAME);
        match (names.next(), names.next()) {
            (None, _) => Ok(Vec::new()),
            (Some(names), None) => {
                CertifiedName::read_all(names.extn_value.as_bytes()).ok_or(PkiError::MalformedCertificate)
            }
            (Some(_), Some(_)) => Err(PkiError::MalformedCertificate),
        }
    }

    /// Its subject on one line (RFC 4514).
    #[must_use]
    pub fn subject_text(&self) -> String {
        name::text(self.parsed.tbs_certificate().subject())
    }

    /// Its issuer on one line (RFC 4514).
    #[must_use]
    pub fn issuer_text(&self) -> String {
        name::text(self.parsed.tbs_certificate().issuer())
    }

    /// Its key, if it is one that a device may have.
    ///
    /// # Errors
    /// [`PkiError::MalformedKey`], [`PkiError::UnacceptedKey`].
    pub fn public_key(&self) -> Result<PublicKey, PkiError> {
        PublicKey::of_device(self.parsed.tbs_certificate().subject_public_key_info())
    }

    /// Its serial number in lower-case hex digits, two for each octet, without octets of zeros before.
    #[must_use]
    pub fn serial(&self) -> String {
        let bytes = self.parsed.tbs_certificate().serial_number().as_bytes();
        let zeros = bytes.iter().take_while(|&&byte| byte == 0).count().min(bytes.len().saturating_sub(1));
        hex::encode(&bytes[zeros..])
    }

    /// Its serial number in decimal, as step-ca writes it.
    #[must_use]
    pub fn serial_decimal(&self) -> String {
        decimal::signed(self.parsed.tbs_certificate().serial_number().as_bytes())
    }

    /// The first second in which it is valid, in Unix time.
    #[must_use]
    pub fn not_before(&self) -> u64 {
        self.parsed.tbs_certificate().validity().not_before.to_unix_duration().as_secs()
    }

    /// The last second in which it is valid, in Unix time.
    #[must_use]
    pub fn not_after(&self) -> u64 {
        self.parsed.tbs_certificate().validity().not_after.to_unix_duration().as_secs()
    }

    /// Whether it is valid at a time, in Unix seconds.
    #[must_use]
    pub fn is_valid_at(&self, now: u64) -> bool {
        (self.not_before()..=self.not_after()).contains(&now)
    }

    /// Whether its key may sign for a client, and it says so itself: no authority's, with digitalSignature in its keyUsage and
    /// clientAuth in its extendedKeyUsage. So step-ca wants those that sign one-time tokens to be.
    #[must_use]
    pub const fn signs_tokens(&self) -> bool {
        self.uses.signs_tokens
    }

    /// How many authorities there may be below this one; `None`: any number.
    #[must_use]
    pub const fn path_length(&self) -> Option<u8> {
        self.uses.path_length
    }

    /// Whether it is an authority's: basicConstraints say so, and keyUsage, where present, allows to sign certificates
    /// (RFC 5280 sections 4.2.1.3, 4.2.1.9).
    #[must_use]
    pub const fn is_ca(&self) -> bool {
        self.uses.is_ca && self.uses.may_sign_certificates
    }

    /// Whether this key's owner signed it, and it names him as its issuer, in the same encoding. `false` as well for
    /// signatures of a kind that is not verified here.
    ///
    /// Not checked: the times of both, and whether the issuer is an authority.
    #[must_use]
    pub fn is_signed_by(&self, issuer: &Self) -> bool {
        let algorithm = self.parsed.signature_algorithm();
        let verify = |key: PublicKey| key.verify(algorithm, &self.signed, self.parsed.signature());
        self.issuer == issuer.subject
            && self.parsed.tbs_certificate().signature() == algorithm
            && issuer.authority_key().and_then(verify).is_ok()
    }

    /// Its key, if it is one that an authority may have.
    pub(crate) fn authority_key(&self) -> Result<PublicKey, PkiError> {
        PublicKey::of_authority(self.parsed.tbs_certificate().subject_public_key_info())
    }

    /// Whether extendedKeyUsage, where present, leaves room for clients. Many verifiers hold an authority's against
    /// the certificates below it.
    pub(crate) const fn may_sign_clients(&self) -> bool {
        self.uses.may_sign_clients
    }

    /// The subject's name as it is encoded.
    pub(crate) fn subject_der(&self) -> &[u8] {
        &self.subject
    }

    pub(crate) fn key_identifier(&self) -> Option<&[u8]> {
        self.uses.key_identifier.as_deref()
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("id", &self.id()).finish_non_exhaustive()
    }
}

impl Uses {
    fn read(certificate: &x509_cert::Certificate) -> Result<Self, x509_cert::der::Error> {
        let certificate = certificate.tbs_certificate();
        let constraints = certificate.get_extension::<BasicConstraints>()?;
        let usage = certificate.get_extension::<KeyUsage>()?;
        let extended = certificate.get_extension::<ExtendedKeyUsage>()?;
        let identifier = certificate.get_extension::<SubjectKeyIdentifier>()?;
        let is_client = |purpose: &_| [ID_KP_CLIENT_AUTH, ANY_EXTENDED_KEY_USAGE].contains(purpose);
        let is_ca = constraints.as_ref().is_some_and(|(_, constraints)| constraints.ca);
        let may_sign = usage.as_ref().is_some_and(|(_, usage)| usage.digital_signature());
        let is_for_clients = extended.as_ref().is_some_and(|(_, purposes)| purposes.0.contains(&ID_KP_CLIENT_AUTH));
        Ok(Self {
            is_ca,
            signs_tokens: !is_ca && may_sign && is_for_clients,
            path_length: constraints.and_then(|(_, constraints)| constraints.path_len_constraint),
            may_sign_certificates: usage.is_none_or(|(_, usage)| usage.key_cert_sign()),
            may_sign_clients: extended.is_none_or(|(_, purposes)| purposes.0.iter().any(is_client)),
            key_identifier: identifier.map(|(_, identifier)| identifier.0.into_bytes().into()),
        })
    }
}
