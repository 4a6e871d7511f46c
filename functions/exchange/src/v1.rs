use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::{Body, to_bytes},
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use protocol::{Group, MAX_REQUEST_BYTES, V1_REFUSAL, V1Request, Wire};
use tokio::time::sleep;
use web::Caller;

use crate::{Broker, Ports, checks::check};

/// What a v1 client sends, read before anything else is done with it. Each member is the hex of the base64 of bytes.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "its shape is for openapi.json")]
pub(crate) struct V1Body {
    /// RSA-OAEP (SHA-1) of the text key.
    data: String,
    /// Initialization vector and AES-256-CBC ciphertext of the message.
    payload: String,
}

/// What a v1 client is answered.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "its shape is for openapi.json")]
pub(crate) struct V1Answer {
    /// The hex of the base64 of initialization vector and AES-256-CBC ciphertext of the secret; `not found` in a refusal.
    message: String,
}

/// The v1 wire, for clients of the older service, where the deployment turns it on.
///
/// `docs/protocol-v1.md` specifies it. Whatever is not granted is answered by one refusal, faults of the broker included.
#[utoipa::path(
    post,
    path = "/verify",
    tag = "exchange",
    request_body(content = V1Body, content_type = "application/json"),
    responses(
        (status = 201, description = "The secret, encrypted under the caller's key", body = V1Answer, content_type = "application/json"),
        (status = 404, description = "Anything else; one fixed body", body = V1Answer, content_type = "application/json"),
    ),
)]
pub(crate) async fn verify<P: Ports>(
    State((broker, group)): State<(Arc<Broker<P>>, Group)>,
    caller: Caller,
    body: Body,
) -> Response {
    let began = Instant::now();
    let verified = async {
        let body = to_bytes(body, MAX_REQUEST_BYTES).await;
        broker.verify_v1(&group, &body.map_or_else(|_| V1Request::oversized(), |body| V1Request::parse(&body))).await
    };
    let (status, answer) = match check(&broker, &caller, Wire::V1, verified).await {
        Ok(answer) => (StatusCode::CREATED, answer),
        Err(_) => {
            let wait = until_next(broker.config.v1_refusal_grid, began.elapsed());
            // A timer takes a millisecond at least.
            if !wait.is_zero() {
                sleep(wait).await;
            }
            (StatusCode::NOT_FOUND, V1_REFUSAL.to_owned())
        }
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, answer).into_response()
}

/// How long it is from `elapsed` to the next multiple of `grid`.
fn until_next(grid: Duration, elapsed: Duration) -> Duration {
    match grid.as_nanos() {
        0 => Duration::ZERO,
        grid => Duration::from_nanos(u64::try_from(grid - elapsed.as_nanos() % grid).unwrap_or_default()),
    }
}

/// The same where a stage was part of the older service's path.
#[utoipa::path(
    post,
    path = "/Stage/verify",
    tag = "exchange",
    request_body(content = V1Body, content_type = "application/json"),
    responses(
        (status = 201, description = "As for /verify", body = V1Answer, content_type = "application/json"),
        (status = 404, description = "As for /verify", body = V1Answer, content_type = "application/json"),
    ),
)]
#[expect(dead_code, reason = "for openapi.json: the router takes `verify` for both")]
const fn stage_verify() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_end_on_the_grid() {
        let grid = Duration::from_millis(100);
        for (elapsed, left) in [(0, 100), (1, 99), (99, 1), (100, 100), (130, 70)] {
            assert_eq!(until_next(grid, Duration::from_millis(elapsed)), Duration::from_millis(left), "{elapsed}");
        }
        assert_eq!(until_next(Duration::ZERO, grid), Duration::ZERO);
    }
}
