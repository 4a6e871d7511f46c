use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
    response::Response,
};

use crate::{answer::Answer, stop::Stop};

/// The name that stands in a path. What is no UTF-8 is the name of nothing.
pub(crate) struct PathName(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for PathName {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let name = Path::<String>::from_request_parts(parts, state).await;
        let unknown = |_| Answer::of_stop(&Stop::missing("there is no such thing")).respond(&parts.headers);
        name.map(|Path(name)| Self(name)).map_err(unknown)
    }
}
