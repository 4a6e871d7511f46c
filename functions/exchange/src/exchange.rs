use std::sync::Arc;

use axum::{
    body::{Body, to_bytes},
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use protocol::{MAX_REQUEST_BYTES, Refusal, Wire};
use web::{Caller, ProblemDetails};

use crate::{Broker, Ports, checks::check};

const JOSE: &str = "application/jose";

/// Proof in, credentials out.
///
/// The body is a nested JWT: a compact JWE (RFC 7516) to the server key around a compact JWS (RFC 7515) under the proof
/// key. `docs/protocol.md` specifies both, and the answer.
#[utoipa::path(
    post,
    path = "/v2/exchange",
    tag = "exchange",
    request_body(content = String, content_type = "application/jose"),
    responses(
        (status = 200, description = "Everything that was wanted: a compact JWE under the response key", body = String, content_type = "application/jose"),
        (status = 401, description = "The proof does not hold, or the request was used before; one fixed body", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 403, description = "Policy does not allow a want", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 404, description = "Policy allows it, and there is no such secret, version or alias", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 429, description = "Too many requests; from the gateway", content_type = "application/problem+json"),
        (status = 503, description = "Something that the broker needs does not answer", body = ProblemDetails, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn exchange<P: Ports>(
    State(broker): State<Arc<Broker<P>>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let verified = async { broker.verify(&read(&headers, body).await?).await };
    match check(&broker, &caller, Wire::V2, verified).await {
        Ok(answer) => {
            let headers = [
                (header::CONTENT_TYPE, HeaderValue::from_static(JOSE)),
                (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            ];
            (StatusCode::OK, headers, answer).into_response()
        }
        Err(problem) => problem.respond(&caller.request_id),
    }
}

async fn read(headers: &HeaderMap, body: Body) -> Result<Vec<u8>, Refusal> {
    let content_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    if !content_type.is_some_and(|found| found.eq_ignore_ascii_case(JOSE.as_bytes())) {
        return Err(Refusal::WrongContentType);
    }
    to_bytes(body, MAX_REQUEST_BYTES).await.map(Vec::from).map_err(|_| Refusal::Oversized)
}
