#![allow(missing_docs, clippy::todo, unused_variables, clippy::needless_pass_by_value)]
use protocol::{Random, Secret};
use crate::*;
#[derive(Default, Clone, Debug, PartialEq, Eq)]
pub struct SubjectFields { pub common_name: Option<String>, pub organization: Option<String>, pub organizational_unit: Option<String>, pub locality: Option<String>, pub state_name: Option<String>, pub country: Option<String>, pub email_address: Option<String> }
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject { fields: SubjectFields }
impl Subject { pub fn new(fields: &SubjectFields) -> Result<Self, PkiError> { todo!() } pub const fn fields(&self) -> &SubjectFields { &self.fields } }
impl std::fmt::Display for Subject { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { todo!() } }
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind { EcdsaP256, Rsa2048 }
pub struct DeviceKey;
impl std::fmt::Debug for DeviceKey { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("[elided]") } }
impl DeviceKey {
    pub fn generate(kind: KeyKind) -> Result<Self, PkiError> { todo!() }
    pub fn public_key(&self) -> PublicKey { todo!() }
    pub fn to_pem(&self) -> Secret<String> { todo!() }
    pub fn from_pem(pem: &str) -> Result<Self, PkiError> { todo!() }
    pub fn csr(&self, subject: &Subject) -> Result<Csr, PkiError> { todo!() }
}
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey;
impl PublicKey { pub fn to_pem(&self) -> String { todo!() } pub fn is_rsa(&self) -> bool { todo!() } }
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Csr;
impl Csr { pub fn from_pem(pem: &str) -> Result<Self, PkiError> { todo!() } pub fn to_pem(&self) -> String { todo!() } pub fn subject(&self) -> &Subject { todo!() } pub fn public_key(&self) -> &PublicKey { todo!() } }
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate;
impl Certificate {
    pub fn from_pem(pem: &str) -> Result<Self, PkiError> { todo!() }
    pub fn from_der(der: &[u8]) -> Result<Self, PkiError> { todo!() }
    pub fn to_pem(&self) -> String { todo!() }
    pub fn id(&self) -> CertificateId { todo!() }
    pub fn subject_text(&self) -> String { todo!() }
    pub fn issuer_text(&self) -> String { todo!() }
    pub fn public_key(&self) -> Result<PublicKey, PkiError> { todo!() }
    pub fn serial(&self) -> String { todo!() }
    pub fn not_before(&self) -> u64 { todo!() }
    pub fn not_after(&self) -> u64 { todo!() }
    pub fn is_ca(&self) -> bool { todo!() }
    pub fn is_signed_by(&self, issuer: &Self) -> bool { todo!() }
}
pub struct Authority { certificate: Certificate }
impl std::fmt::Debug for Authority { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("[elided]") } }
impl Authority {
    pub fn new(certificate: Certificate, key_pem: &str) -> Result<Self, PkiError> { todo!() }
    pub const fn certificate(&self) -> &Certificate { &self.certificate }
    pub fn issue(&self, order: &Order<'_>, random: &impl Random) -> Result<Certificate, PkiError> { todo!() }
}
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> { pub subject: &'a Subject, pub public_key: &'a PublicKey, pub now: u64, pub days: u32 }
pub fn new_root(subject: &Subject, kind: KeyKind, now: u64, days: u32, random: &impl Random) -> Result<(Certificate, Secret<String>), PkiError> { todo!() }
pub fn verification_certificate(authority: &Authority, registration_code: &str, now: u64, random: &impl Random) -> Result<Certificate, PkiError> { todo!() }
