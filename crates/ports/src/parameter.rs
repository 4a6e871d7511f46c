use protocol::Secret;

use crate::Fault;

/// Reads configuration that is known only after deployment (AWS Systems Manager `GetParameter`).
pub trait ReadParameter: Send + Sync + 'static {
    /// The value of a parameter.
    fn read(&self, name: &str) -> impl Future<Output = Result<String, Fault>> + Send;
}

/// Reads secret parameters (AWS Systems Manager `GetParameter` with decryption).
pub trait ReadSecureParameter: Send + Sync + 'static {
    /// The value of a `SecureString`; [`Fault::Unusable`] where the parameter is of another type, which would stand there in the clear.
    fn read_secure(&self, name: &str) -> impl Future<Output = Result<Secret<String>, Fault>> + Send;
}
