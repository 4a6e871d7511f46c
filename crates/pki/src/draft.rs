use std::time::Duration;

use protocol::Random;
use x509_cert::{
    Version,
    der::{DateTime, Tag, TagNumber},
    ext::Extension,
    serial_number::SerialNumber,
    time::Time,
};

use crate::{
    Certificate, PkiError, PublicKey,
    encoding::{bit_string, der, sequence, wrapped},
    signing_key::SigningKey,
};

pub(crate) const SECONDS_PER_DAY: u64 = 24 * 60 * 60;

/// How much earlier than now a certificate begins: clocks of devices are slow, and AWS IoT's may be as well.
pub(crate) const BACKDATED_SECONDS: u64 = 300;

/// What a certificate will say, of version 3, before it is signed.
pub(crate) struct Draft<'a> {
    /// The issuer's name in DER.
    pub(crate) issuer: &'a [u8],
    /// The subject's name in DER.
    pub(crate) subject: &'a [u8],
    pub(crate) public_key: &'a PublicKey,
    pub(crate) not_before: u64,
    pub(crate) not_after: u64,
    pub(crate) extensions: Vec<Extension>,
}

impl Draft<'_> {
    pub(crate) fn sign(self, key: &SigningKey, random: &(impl Random + ?Sized)) -> Result<Certificate, PkiError> {
        let tagged = |number| Tag::ContextSpecific { constructed: true, number: TagNumber(number) };
        let algorithm = der(&key.algorithm());
        let signed = sequence(&[
            &wrapped(tagged(0), der(&Version::V3)),
            &der(&serial(random)),
            &algorithm,
            self.issuer,
            &sequence(&[&time(self.not_before)?, &time(self.not_after)?]),
            self.subject,
            self.public_key.as_der(),
            &wrapped(tagged(3), der(&self.extensions)),
        ]);
        let signature = bit_string(&key.sign(&signed)?);
        Certificate::from_der(&sequence(&[&signed, &algorithm, &signature]))
    }
}

/// A positive number of exactly 128 bits, 127 of them random: 17 octets with the sign, of the 20 that RFC 5280 section
/// 4.1.2.2 allows.
fn serial(random: &(impl Random + ?Sized)) -> SerialNumber {
    let mut bytes = [0; 16];
    random.fill(&mut bytes);
    bytes[0] |= 0x80;
    SerialNumber::new(&bytes).expect("16 octets and a sign are no more than 20")
}

/// UTCTime through 2049, then GeneralizedTime (RFC 5280 section 4.1.2.5), in which years have four digits.
fn time(seconds: u64) -> Result<Vec<u8>, PkiError> {
    let time = DateTime::from_unix_duration(Duration::from_secs(seconds)).map_err(|_| PkiError::WrongLifetime)?;
    Ok(der(&Time::from(time)))
}
