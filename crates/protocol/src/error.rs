use std::io;

/// Why the broker refuses a request before its proof holds, or because it was used before.
///
/// For the log alone: the caller gets one fixed answer, whatever the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The body is larger than [`MAX_REQUEST_BYTES`](crate::MAX_REQUEST_BYTES).
    #[error("request is too large")]
    Oversized,
    /// The body is not `application/jose`.
    #[error("content type is not application/jose")]
    WrongContentType,
    /// Not a compact JWE with the one protected header that is accepted.
    #[error("not a compact JWE of the accepted form")]
    MalformedEnvelope,
    /// The JWE names a server key that is not live.
    #[error("server key is not known")]
    UnknownKey,
    /// The content encryption key or the ciphertext does not open.
    #[error("request does not decrypt")]
    Undecryptable,
    /// What was encrypted is not a compact JWS with the one protected header and the claims that are accepted.
    #[error("not a compact JWS of the accepted form")]
    MalformedProof,
    /// The group has no such pool, or it is accepted no longer.
    #[error("pool is not known or no longer accepted")]
    UnknownPool,
    /// The intervals of a v1 request leave the pool, or cover too little or too much of it.
    #[error("intervals are not fit for a proof")]
    UnfitIntervals,
    /// The HMAC does not hold under the proof key, or the hash of a v1 request is not that of its intervals.
    #[error("proof does not hold")]
    BadProof,
    /// `aud` is not this deployment.
    #[error("audience is another deployment's")]
    WrongAudience,
    /// `exp` has passed.
    #[error("request has expired")]
    Expired,
    /// `iat` is in the future.
    #[error("request is not yet valid")]
    NotYetValid,
    /// `exp` is not after `iat`, or too long after it.
    #[error("request claims too long a life")]
    WrongLifetime,
    /// The request id was spent before.
    #[error("request was used before")]
    Replayed,
}

impl Refusal {
    /// A stable word for audit events.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Oversized => "oversized",
            Self::WrongContentType => "wrong_content_type",
            Self::MalformedEnvelope => "malformed_envelope",
            Self::UnknownKey => "unknown_key",
            Self::Undecryptable => "undecryptable",
            Self::MalformedProof => "malformed_proof",
            Self::UnknownPool => "unknown_pool",
            Self::UnfitIntervals => "unfit_intervals",
            Self::BadProof => "bad_proof",
            Self::WrongAudience => "wrong_audience",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::WrongLifetime => "wrong_lifetime",
            Self::Replayed => "replayed",
        }
    }
}

/// Why the client could not make a request or read its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The pool is not the one that the manifest describes.
    #[error("pool is not the one that the manifest describes")]
    PoolMismatch,
    /// The pool's bytes cannot be read.
    #[error("pool cannot be read: {0}")]
    PoolUnreadable(io::ErrorKind),
    /// The manifest's server key is unusable or does not match its `kid`.
    #[error("server key in the manifest is not valid")]
    InvalidServerKey,
    /// No want, or more than [`MAX_WANTS`](crate::MAX_WANTS).
    #[error("a request carries 1 to 16 wants")]
    WrongNumberOfWants,
    /// A want's name is not of the form that the broker accepts: for secrets the name, not the ARN.
    #[error("a want has a name that no broker accepts")]
    MalformedWant,
    /// The request would exceed [`MAX_REQUEST_BYTES`](crate::MAX_REQUEST_BYTES).
    #[error("request would be too large")]
    Oversized,
    /// The answer does not open under the response key: it comes from someone who did not read the request.
    #[error("answer does not open under this request's key")]
    ForeignAnswer,
    /// The answer opens and is not of the expected form.
    #[error("answer is not of the expected form")]
    MalformedAnswer,
}
