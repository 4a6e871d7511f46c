use crate::Fault;

/// Reads configuration that is known only after deployment (AWS Systems Manager `GetParameter`).
pub trait ReadParameter: Send + Sync + 'static {
    /// The value of a parameter.
    fn read(&self, name: &str) -> impl Future<Output = Result<String, Fault>> + Send;
}
