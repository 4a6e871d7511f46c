use std::time::{Duration, UNIX_EPOCH};

use http::{MAX_TRIES, is_worth_another, pause};
use protocol::Secret;
use reqwest::{RequestBuilder, StatusCode};

use crate::Error;

/// How long the broker may take for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// The broker's answer.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    /// Under this id the broker's log holds the request.
    pub(crate) request_id: String,
    pub(crate) body: Secret<Vec<u8>>,
    pub(crate) date: Option<String>,
    /// How long the broker wants to be left alone.
    pub(crate) retry_after: Option<Duration>,
}

/// Why there is no answer to a request.
pub(crate) enum NoReply {
    /// It was not reached, the connection broke, or it took too long.
    Lost(reqwest::Error),
    /// It is larger than its reader takes.
    TooLarge {
        /// Its status.
        status: u16,
    },
}

/// How a try failed.
pub(crate) enum Failed {
    /// It is worth another try, after what the broker asked for.
    Again(Error, Option<Duration>),
    /// Another one would fail, too.
    ForGood(Error),
}

impl<E: Into<Error>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::ForGood(error.into())
    }
}

impl Reply {
    /// This answer is none of those that the client knows.
    pub(crate) fn unexpected(&self) -> Error {
        Error::Unexpected { status: self.status.as_u16() }
    }

    /// How far the broker's clock (RFC 9110 section 5.6.7) is ahead of `now`, in seconds, where it told.
    pub(crate) fn clock_difference(&self, now: u64) -> Option<i64> {
        let date = httpdate::parse_http_date(self.date.as_deref()?).ok()?;
        let theirs = date.duration_since(UNIX_EPOCH).ok()?.as_secs();
        i64::try_from(theirs).ok()?.checked_sub(i64::try_from(now).ok()?)
    }
}

/// Sends a request once and waits for the answer, whatever its status, whose body is at most `limit` bytes.
pub(crate) async fn receive(request: RequestBuilder, limit: usize, within: Duration) -> Result<Reply, NoReply> {
    let response = request.timeout(within).send().await.map_err(NoReply::Lost)?;
    let status = response.status();
    let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let request_id = text("x-request-id").unwrap_or_else(|| "unknown".to_owned());
    let date = text("date");
    let retry_after = text("retry-after").and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
    let body = http::body(response, limit).await.map_err(NoReply::Lost)?;
    let body = Secret::new(body.ok_or(NoReply::TooLarge { status: status.as_u16() })?);
    Ok(Reply { status, request_id, body, date, retry_after })
}

/// Sends a request and waits for the answer, whose body is at most `limit` bytes. Throttling, server errors and network
/// errors are worth another try.
pub(crate) async fn send(request: RequestBuilder, limit: usize, tries: u32) -> Result<Reply, Failed> {
    let unavailable = |status, asked_for| Failed::Again(Error::Unavailable { status, tries }, asked_for);
    match receive(request, limit, ANSWER_TIMEOUT).await {
        Ok(reply) if is_worth_another(reply.status.as_u16()) => {
            Err(unavailable(reply.status.as_u16(), reply.retry_after))
        }
        Ok(reply) => Ok(reply),
        Err(NoReply::TooLarge { status }) if is_worth_another(status) => Err(unavailable(status, None)),
        Err(NoReply::TooLarge { status }) => Err(Error::Unexpected { status }.into()),
        Err(NoReply::Lost(source)) => Err(Failed::Again(Error::Unreachable { tries, source }, None)),
    }
}

/// Tries until there is an answer, or another try is not worth it.
pub(crate) async fn until_answered<T>(try_once: impl AsyncFn(u32) -> Result<T, Failed>) -> Result<T, Error> {
    let mut tries = 1;
    loop {
        match try_once(tries).await {
            Ok(answer) => return Ok(answer),
            Err(Failed::ForGood(error)) => return Err(error),
            Err(Failed::Again(error, _)) if tries >= MAX_TRIES => return Err(error),
            Err(Failed::Again(_, asked_for)) => tokio::time::sleep(pause(tries, asked_for)).await,
        }
        tries += 1;
    }
}
