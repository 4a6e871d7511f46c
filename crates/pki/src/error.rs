/// Why a key, a name, a certificate signing request, a certificate or an authority is refused.
///
/// No variant carries anything of the caller's. Those that begin with `Requested` are what a request asks for beyond
/// what every device certificate has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PkiError {
    /// The text is larger than [`MAX_PEM_BYTES`](crate::MAX_PEM_BYTES).
    #[error("PEM text is too large")]
    Oversized,
    /// It is no PEM (RFC 7468), or there is text around it.
    #[error("not PEM alone")]
    MalformedPem,
    /// It is PEM of something else.
    #[error("PEM has another label than expected")]
    WrongLabel,
    /// There is more than one PEM block.
    #[error("more than one PEM block")]
    SeveralBlocks,

    /// A name has no attribute.
    #[error("name is empty")]
    EmptyName,
    /// An attribute of a name is empty, too long, or holds characters that its type does not allow.
    #[error("name has an attribute of a form that is not accepted")]
    MalformedName,
    /// A name has an attribute of a type that no device certificate has.
    #[error("name has an attribute of a type that is not accepted")]
    UnknownNameAttribute,
    /// A name has two attributes of one type.
    #[error("name has an attribute twice")]
    RepeatedNameAttribute,
    /// A relative distinguished name has more than one value.
    #[error("name has several values in one place")]
    MultiValuedName,

    /// It is no key of a form that is read here.
    #[error("not a key of an accepted form")]
    MalformedKey,
    /// A private key is encrypted: nobody is there to enter its passphrase.
    #[error("private key is encrypted")]
    EncryptedKey,
    /// The key is of a type, a curve or a length that is not accepted.
    #[error("key is of a kind that is not accepted")]
    UnacceptedKey,

    /// It is no PKCS#10 request (RFC 2986) in DER.
    #[error("not a certificate signing request in DER")]
    MalformedCsr,
    /// A request or certificate is signed by an algorithm that is not accepted, such as one with SHA-1.
    #[error("signature is of an algorithm that is not accepted")]
    UnacceptedSignature,
    /// The request was not signed by the key that it names.
    #[error("request is not signed by its own key")]
    WrongSignature,
    /// The request asks for alternative names.
    #[error("request asks for alternative names")]
    RequestedAltName,
    /// The request asks to be an authority.
    #[error("request asks to be an authority")]
    RequestedAuthority,
    /// The request asks for a use of the key that no device certificate grants.
    #[error("request asks for a key usage that is not granted")]
    RequestedUsage,
    /// The request asks for an extension that no device certificate has, or for one twice.
    #[error("request asks for an extension that is not granted")]
    RequestedExtension,
    /// The request has a challenge password (RFC 2985 section 5.4.1).
    #[error("request has a challenge password")]
    ChallengePassword,
    /// The request has another attribute.
    #[error("request has an attribute that is not accepted")]
    RequestedAttribute,

    /// It is no certificate (RFC 5280) in DER, or has an extension twice.
    #[error("not a certificate in DER")]
    MalformedCertificate,
    /// It is not 64 lower-case hex digits.
    #[error("not a certificate id")]
    MalformedCertificateId,

    /// The certificate is not one of an authority that may sign certificates for clients.
    #[error("certificate is not an authority's")]
    NotAnAuthority,
    /// The authority's certificate is of another key.
    #[error("certificate and private key do not belong together")]
    KeyMismatch,
    /// The authority's certificate has ended.
    #[error("authority's certificate has ended")]
    AuthorityEnded,
    /// The authority's certificate is not valid yet.
    #[error("authority's certificate is not yet valid")]
    AuthorityNotBegun,
    /// A certificate would be valid for no day, or beyond the year 9999.
    #[error("lifetime is not one that a certificate can have")]
    WrongLifetime,
    /// The cryptographic library failed.
    #[error("cryptographic library failed")]
    Cryptography,
}
