use std::net::{IpAddr, Ipv6Addr};

use axum::{extract::FromRequestParts, http::request::Parts, response::Response};

use crate::Problem;

/// Who calls, as the outermost trusted hop saw it; a request extension that the runner sets.
///
/// Never from a header: API Gateway's `requestContext.identity.sourceIp` on AWS, the socket's peer elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The caller's address.
    pub source_ip: IpAddr,
    /// Names the request in logs and answers.
    pub request_id: String,
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Response;

    /// Refuses to go on where no runner said who calls: policy could not be asked.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        parts.extensions.get().cloned().ok_or_else(|| Problem::Unavailable.respond(""))
    }
}

/// Whom an address is counted for where its requests are limited: whoever has an IPv6 address has the /64 that it is in.
#[must_use]
pub fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// The host that the caller asked at, as the gateway matched it; a request extension that the runner sets. Not there off Lambda.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain(pub String);

/// Whom the gateway's authorizer found the caller's access token to speak of; a request extension that the runner sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bearer {
    /// The token's `sub`.
    pub subject: String,
    /// The token's `scope`.
    pub scope: String,
    /// The token's `ses`.
    pub session: String,
}

impl<S: Sync> FromRequestParts<S> for Bearer {
    type Rejection = Response;

    /// Refuses to go on where no authorizer was asked.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        parts.extensions.get().cloned().ok_or_else(|| Problem::Refused.respond(""))
    }
}
