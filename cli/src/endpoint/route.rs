use axum::http::{HeaderName, header};

/// The header of the token that clients of the AWS Secrets Manager Agent send.
pub(crate) const SECRETS_TOKEN: &str = "x-aws-parameters-secrets-token";

/// What a path leads to, as the guard and the counts see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Credentials,
    Secret,
    Health,
    Ready,
    Started,
    Metrics,
    /// Nothing. It wants a token all the same: without one, nobody learns what there is.
    Other,
}

impl Route {
    /// The route of a path. A path that is written in another way than these is [`Route::Other`].
    pub(crate) fn of(path: &str) -> Self {
        match path {
            "/health" | "/ping" => Self::Health,
            "/ready" => Self::Ready,
            "/started" => Self::Started,
            "/metrics" => Self::Metrics,
            "/secretsmanager/get" => Self::Secret,
            path if path.starts_with("/v1/") => Self::Secret,
            path if path.starts_with("/credentials/") => Self::Credentials,
            _ => Self::Other,
        }
    }

    /// Where a request must bring the token, if it must.
    pub(crate) const fn token_header(self) -> Option<HeaderName> {
        match self {
            Self::Health | Self::Ready | Self::Started | Self::Metrics => None,
            Self::Credentials => Some(header::AUTHORIZATION),
            Self::Secret | Self::Other => Some(HeaderName::from_static(SECRETS_TOKEN)),
        }
    }

    /// What counts call it.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Credentials => "credentials",
            Self::Secret => "secret",
            Self::Health => "health",
            Self::Ready => "ready",
            Self::Started => "started",
            Self::Metrics => "metrics",
            Self::Other => "other",
        }
    }
}
