/// Why a token is not accepted. To its bearer all are alike: the reason is for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    /// It is not a compact JWS, or larger than a token is.
    #[error("not a compact JWS")]
    Malformed,
    /// Its header is not exactly `alg` ES256, `kid`, `typ` JWT.
    #[error("not the header of a token")]
    WrongHeader,
    /// The issuer has no such key, or no longer.
    #[error("unknown key")]
    UnknownKey,
    /// The key did not sign this.
    #[error("the signature does not hold")]
    WrongSignature,
    /// It is signed, and lacks a claim, or has one that is malformed.
    #[error("not the claims of a token")]
    WrongClaims,
    /// It is issued in the future.
    #[error("not yet valid")]
    NotYetValid,
    /// Its time has come.
    #[error("expired")]
    Expired,
    /// The caller's address is outside of its network.
    #[error("not given to this network")]
    WrongNetwork,
}

impl TokenRefusal {
    /// A stable code, for the log.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::WrongHeader => "wrong_header",
            Self::UnknownKey => "unknown_key",
            Self::WrongSignature => "wrong_signature",
            Self::WrongClaims => "wrong_claims",
            Self::NotYetValid => "not_yet_valid",
            Self::Expired => "expired",
            Self::WrongNetwork => "wrong_network",
        }
    }
}
