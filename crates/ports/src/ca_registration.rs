use protocol::Secret;

use crate::Fault;

/// Registers CAs (AWS IoT).
pub trait RegisterCa: Send + Sync + 'static {
    /// What a verification certificate has to name, so that it proves that its maker has the CA's key (`GetRegistrationCode`).
    fn registration_code(&self) -> impl Future<Output = Result<String, Fault>> + Send;

    /// The status of the CA of this id, as the API writes it; `None` where it is not registered (`DescribeCACertificate`).
    fn ca_status(&self, id: &str) -> impl Future<Output = Result<Option<String>, Fault>> + Send;

    /// Registers a CA as active; gives its id (`RegisterCACertificate`). One that is registered is [`Fault::Conflict`], and a proof
    /// that does not hold is [`Fault::Invalid`].
    fn register_ca(
        &self,
        ca_pem: &str,
        verification_pem: &str,
        auto_registration: bool,
    ) -> impl Future<Output = Result<String, Fault>> + Send;
}

/// Writes secret parameters (AWS Systems Manager `PutParameter`).
pub trait WriteSecureParameter: Send + Sync + 'static {
    /// Writes a `SecureString` under a name that is free, encrypted with this key of AWS KMS, or else the account's for parameters.
    /// Where the name is taken, it is [`Fault::Conflict`].
    fn write_secure(
        &self,
        name: &str,
        value: &Secret<String>,
        kms_key: Option<&str>,
    ) -> impl Future<Output = Result<(), Fault>> + Send;
}
