use protocol::Secret;

use crate::Fault;

/// Whether AWS IoT lets a device in with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateStatus {
    /// `ACTIVE`: it does.
    Active,
    /// `INACTIVE`: it does not.
    Inactive,
    /// `REVOKED`: it does not.
    Revoked,
}

impl CertificateStatus {
    /// The status of this name; `None` for another one.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Active, Self::Inactive, Self::Revoked].into_iter().find(|status| status.name() == name)
    }

    /// The name as the API writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Inactive => "INACTIVE",
            Self::Revoked => "REVOKED",
        }
    }
}

/// A certificate that AWS IoT knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredCertificate {
    /// Its id: 64 hex digits, the SHA-256 of its DER.
    pub id: String,
    /// Its ARN.
    pub arn: String,
    /// The certificate.
    pub pem: String,
    /// Its status as the API writes it; there are more than can be set.
    pub status: String,
}

/// A certificate of AWS IoT's own CA, with keys that AWS IoT made.
#[derive(Clone, Debug)]
pub struct AwsCertificate {
    /// Its id.
    pub id: String,
    /// The certificate.
    pub pem: String,
    /// Its public key, PEM.
    pub public_key: String,
    /// Its private key, PEM.
    pub private_key: Secret<String>,
}

/// A CA that is registered with AWS IoT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredCa {
    /// Its certificate.
    pub pem: String,
    /// Whether it is `ACTIVE`.
    pub active: bool,
}

/// Reads certificates (AWS IoT).
pub trait ReadCertificate: Send + Sync + 'static {
    /// The certificate of this id (`DescribeCertificate`).
    fn certificate(&self, id: &str) -> impl Future<Output = Result<RegisteredCertificate, Fault>> + Send;

    /// The names of every thing that the certificate is attached to (`ListPrincipalThings`).
    fn things_of(&self, certificate_arn: &str) -> impl Future<Output = Result<Vec<String>, Fault>> + Send;

    /// The CA of this id (`DescribeCACertificate`).
    fn ca(&self, id: &str) -> impl Future<Output = Result<RegisteredCa, Fault>> + Send;
}

/// Makes certificates known (AWS IoT). One that is known is [`Fault::Conflict`].
pub trait AddCertificate: Send + Sync + 'static {
    /// Has keys and certificate made (`CreateKeysAndCertificate`). Asked once: where the answer is lost, whoever asks again has
    /// two.
    fn create_certificate(&self, active: bool) -> impl Future<Output = Result<AwsCertificate, Fault>> + Send;

    /// Registers a certificate; gives its id. With its CA's certificate that CA has to be known (`RegisterCertificate`), without it
    /// any will do (`RegisterCertificateWithoutCA`).
    fn register_certificate(
        &self,
        pem: &str,
        ca_pem: Option<&str>,
        status: CertificateStatus,
    ) -> impl Future<Output = Result<String, Fault>> + Send;
}

/// Sets what becomes of certificates (AWS IoT).
pub trait ChangeCertificate: Send + Sync + 'static {
    /// Sets a certificate's status (`UpdateCertificate`).
    fn set_status(&self, id: &str, status: CertificateStatus) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Deletes a certificate that is not active and to which nothing is attached (`DeleteCertificate`). That there is none is a
    /// success.
    fn delete_certificate(&self, id: &str) -> impl Future<Output = Result<(), Fault>> + Send;
}
