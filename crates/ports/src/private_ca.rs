use crate::Fault;

/// What a private CA is asked to sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivateCaOrder<'a> {
    /// The CA's ARN.
    pub ca_arn: &'a str,
    /// The role to ask as, where the CA is another account's.
    pub role_arn: Option<&'a str>,
    /// The CSR, PEM. Its subject and its key go into the certificate; its extensions don't.
    pub csr: &'a str,
    /// For how many days.
    pub days: u32,
    /// Names the request: asked again with the same one within five minutes, the answer is the same certificate.
    pub token: &'a str,
}

/// Has certificates signed (AWS Private CA `IssueCertificate`, `GetCertificate`).
pub trait PrivateCa: Send + Sync + 'static {
    /// A certificate for a TLS client, PEM, by the template `EndEntityClientAuthCertificate/V1`.
    fn sign(&self, order: &PrivateCaOrder<'_>) -> impl Future<Output = Result<String, Fault>> + Send;
}
