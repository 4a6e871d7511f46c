use http::GetError;

/// Why a package was not published or fetched.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A url, the registry's or one that it gives, is not `https`, nor on this machine.
    #[error("a url of the registry is neither https nor on this machine")]
    Url,
    /// There is no such package or version. Registries say so as well to who may not see it.
    #[error("no such package or version, or the token may not see it")]
    Missing,
    /// The registry wants another token.
    #[error("the registry does not accept the token")]
    Unauthorized,
    /// Publishing takes a token.
    #[error("there is no token to publish with")]
    NoToken,
    /// Whoever reads the package is the group.
    #[error("the package can be read without a token")]
    Public,
    /// Somebody else published at the same moment.
    #[error("somebody else published this version")]
    Conflict,
    /// The registry gives an answer of another status.
    #[error("the registry answers with status {0}")]
    Status(u16),
    /// The registry gives no answer.
    #[error("the registry gives no answer")]
    Unreachable(#[source] reqwest::Error),
    /// What the registry gives is not of the form that npm's documents have, or too large.
    #[error("{0}")]
    Malformed(&'static str),
    /// The package is not the one that was published.
    #[error("the package is not the one that the registry's digest is of")]
    Integrity,
}

impl Error {
    /// Whether it may end otherwise the next time.
    pub(crate) const fn is_worth_another_try(&self) -> bool {
        match self {
            Self::Conflict | Self::Unreachable(_) => true,
            Self::Status(status) => http::is_worth_another(*status),
            Self::Url
            | Self::Missing
            | Self::Unauthorized
            | Self::NoToken
            | Self::Public
            | Self::Malformed(_)
            | Self::Integrity => false,
        }
    }

    pub(crate) const fn of_status(status: u16) -> Self {
        match status {
            401 | 403 => Self::Unauthorized,
            404 => Self::Missing,
            409 => Self::Conflict,
            _ => Self::Status(status),
        }
    }
}

impl From<GetError> for Error {
    fn from(error: GetError) -> Self {
        match error {
            GetError::Status(status) => Self::of_status(status),
            GetError::TooLarge => Self::Malformed("the registry's answer is too large"),
            GetError::Unreachable(source) => Self::Unreachable(source),
        }
    }
}
