use axum::{
    Json,
    body::Body,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use protocol::EnrollmentToken;
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use web::Caller;

use crate::{
    Ports, Service,
    body::{self, MediaType},
    record::{Record, Wire},
    stop::Stop,
};

/// A request for a one-time token.
pub(crate) trait GrantRequest: Send {
    /// Its name in the audit log.
    const ACTION: &'static str;

    /// The token, to whom it is due.
    fn grant<P: Ports>(
        self,
        service: &Service<P>,
        record: &mut Record<'_>,
        headers: &HeaderMap,
    ) -> impl Future<Output = Result<EnrollmentToken, Stop>> + Send;
}

/// Gives the token, in time, and writes the event.
pub(crate) async fn run<P: Ports, R: GrantRequest>(
    service: &Service<P>,
    caller: &Caller,
    headers: &HeaderMap,
    wire: Wire,
    request: Result<R, Stop>,
) -> Result<EnrollmentToken, Stop> {
    let mut record = Record::new(R::ACTION, caller, wire);
    let given = async { request?.grant(service, &mut record, headers).await };
    let ended = timeout(service.config.deadline, given).await.unwrap_or_else(|_| Err(Stop::failed("deadline")));
    record.end(ended)
}

/// The answer of a route that gives tokens.
pub(crate) async fn answer<P: Ports, R: GrantRequest + DeserializeOwned>(
    service: &Service<P>,
    caller: &Caller,
    headers: &HeaderMap,
    body: Body,
) -> Response {
    let request = body::read::<R>(headers, body, MediaType::Json).await;
    match run(service, caller, headers, Wire::V2, request).await {
        Ok(token) => ([(header::CACHE_CONTROL, "no-store")], Json(token)).into_response(),
        Err(stop) => stop.problem.respond(&caller.request_id),
    }
}
