use pki::PkiError;

/// A text that is not of the form that its type demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {0}")]
pub struct InvalidText(pub(crate) &'static str);

/// Why a provisioner's key is not accepted, or cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The text is larger than any such key.
    #[error("key is too large")]
    Oversized,
    /// It is not JSON of the form that the key is kept in.
    #[error("not the JSON of a provisioner's key")]
    Malformed,
    /// The JWK is not a private key over P-256.
    #[error("not a private key over P-256")]
    UnacceptedKey,
    /// The public half of the JWK is not that of its private half.
    #[error("the halves of the key do not belong together")]
    KeyMismatch,
    /// The `kid` is not the key's RFC 7638 thumbprint.
    #[error("key id is not the key's thumbprint")]
    WrongKeyId,
    /// It is no JWE of one recipient (RFC 7516).
    #[error("not an encrypted key")]
    MalformedJwe,
    /// The JWE is encrypted by other means than `step` encrypts a provisioner's key.
    #[error("encrypted by an algorithm that is not accepted")]
    UnacceptedEncryption,
    /// The JWE asks for fewer or more iterations than are accepted.
    #[error("encrypted with a number of iterations that is not accepted")]
    UnacceptedIterations,
    /// The password is wrong, or the JWE was altered.
    #[error("wrong password")]
    WrongPassword,
    /// The certificates are not a leaf and its intermediate.
    #[error("not a leaf and its intermediate")]
    MalformedChain,
    /// The leaf's key may not sign, or not for clients.
    #[error("certificate is not one that signs tokens")]
    UnfitCertificate,
    /// The cryptographic library failed.
    #[error("cryptographic library failed")]
    Cryptography,
    /// A certificate or its key.
    #[error(transparent)]
    Pki(#[from] PkiError),
}
