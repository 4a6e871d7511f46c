use std::fmt;

use protocol::Random;
use x509_cert::ext::Extension;

use crate::{
    Certificate, DeviceKey, KeyKind, PkiError, PublicKey, Subject, SubjectFields,
    draft::{BACKDATED_SECONDS, Draft, SECONDS_PER_DAY},
    extension,
    signing_key::SigningKey,
};

/// The customer's CA: its certificate and the private key that belongs to it.
pub struct Authority {
    certificate: Certificate,
    key: SigningKey,
    /// What its certificates name its key by.
    key_identifier: Vec<u8>,
}

/// What a device certificate shall say.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// The device's name.
    pub subject: &'a Subject,
    /// The device's key.
    pub public_key: &'a PublicKey,
    /// The time in Unix seconds.
    pub now: u64,
    /// How long it shall be valid, at least 1. It ends no later than its authority, whatever is asked for.
    pub days: u32,
}

impl Authority {
    /// Takes an authority's certificate and its private key: RSA of 2048 to 8192 bits, P-256, P-384 or P-521, in
    /// unencrypted PEM of PKCS#8, PKCS#1 or SEC 1.
    ///
    /// Not checked: who signed the certificate, its times, and name constraints in it or above it.
    ///
    /// # Errors
    /// [`PkiError::NotAnAuthority`], [`PkiError::KeyMismatch`], and those of PEM and of keys.
    pub fn new(certificate: Certificate, key_pem: &str) -> Result<Self, PkiError> {
        if !certificate.is_ca() || !certificate.may_sign_clients() {
            return Err(PkiError::NotAnAuthority);
        }
        let public_key = certificate.authority_key()?;
        let key = SigningKey::from_pem(key_pem)?;
        if *key.public() != public_key {
            return Err(PkiError::KeyMismatch);
        }
        let key_identifier = certificate.key_identifier().map_or_else(|| public_key.identifier(), <[u8]>::to_vec);
        Ok(Self { certificate, key, key_identifier })
    }

    /// Its certificate.
    #[must_use]
    pub const fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Issues a device certificate: a TLS client's, which can sign nothing further. It begins five minutes ago, and
    /// neither begins nor ends outside its authority's time.
    ///
    /// Not checked: that the device has the private key, which a [`Csr`](crate::Csr) shows.
    ///
    /// # Errors
    /// [`PkiError::AuthorityEnded`], [`PkiError::AuthorityNotBegun`], [`PkiError::WrongLifetime`],
    /// [`PkiError::Cryptography`].
    pub fn issue(&self, order: &Order<'_>, random: &(impl Random + ?Sized)) -> Result<Certificate, PkiError> {
        self.sign(order, extension::of_device(order.public_key, &self.key_identifier), random)
    }

    /// Issues the certificate of a key that signs one-time tokens: a TLS client's that may sign, and nothing else. Its times are as a
    /// device's.
    ///
    /// # Errors
    /// As [`Authority::issue`].
    pub fn issue_token_signer(
        &self,
        order: &Order<'_>,
        random: &(impl Random + ?Sized),
    ) -> Result<Certificate, PkiError> {
        self.sign(order, extension::of_token_signer(order.public_key, &self.key_identifier), random)
    }

    /// Issues the certificate of an authority below this one, which has none below itself. Its times are as a device's.
    ///
    /// # Errors
    /// As [`Authority::issue`]; [`PkiError::NotAnAuthority`] where this one may have no authority below it.
    pub fn issue_intermediate(
        &self,
        order: &Order<'_>,
        random: &(impl Random + ?Sized),
    ) -> Result<Certificate, PkiError> {
        if self.certificate.path_length() == Some(0) {
            return Err(PkiError::NotAnAuthority);
        }
        self.sign(order, extension::of_intermediate(order.public_key, &self.key_identifier), random)
    }

    fn sign(
        &self,
        order: &Order<'_>,
        extensions: Vec<Extension>,
        random: &(impl Random + ?Sized),
    ) -> Result<Certificate, PkiError> {
        let authority = &self.certificate;
        if order.now > authority.not_after() {
            return Err(PkiError::AuthorityEnded);
        }
        if order.now < authority.not_before() {
            return Err(PkiError::AuthorityNotBegun);
        }
        if order.days == 0 {
            return Err(PkiError::WrongLifetime);
        }
        let end = order.now.saturating_add(u64::from(order.days) * SECONDS_PER_DAY);
        let draft = Draft {
            issuer: authority.subject_der(),
            subject: order.subject.as_der(),
            public_key: order.public_key,
            not_before: order.now.saturating_sub(BACKDATED_SECONDS).max(authority.not_before()),
            not_after: end.min(authority.not_after()),
            extensions,
        };
        draft.sign(&self.key, random)
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("certificate", &self.certificate).field("key", &self.key).finish()
    }
}

/// Issues what AWS IoT wants to see before it registers an authority: a certificate whose common name is the account's
/// registration code, which proves that the caller has the authority's key (AWS IoT `RegisterCACertificate`,
/// `verificationCertificate`). It is valid for a day, and its private key is thrown away.
///
/// # Errors
/// [`PkiError::MalformedName`] for a code that is no common name, and those of [`Authority::issue`].
pub fn verification_certificate(
    authority: &Authority,
    registration_code: &str,
    now: u64,
    random: &(impl Random + ?Sized),
) -> Result<Certificate, PkiError> {
    let common_name = Some(registration_code.to_owned());
    let subject = Subject::new(&SubjectFields { common_name, ..SubjectFields::default() })?;
    let public_key = DeviceKey::generate(KeyKind::EcdsaP256)?.public_key();
    authority.issue(&Order { subject: &subject, public_key: &public_key, now, days: 1 }, random)
}
