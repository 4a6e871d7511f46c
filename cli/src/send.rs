use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{MAX_TRIES, is_worth_another, pause};
use protocol::Secret;
use reqwest::{RequestBuilder, StatusCode};
use tokio::time::{Instant, sleep};

use crate::Error;

/// How long the broker may take for one answer.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// The longest request id that is taken, in characters.
const MAX_REQUEST_ID: usize = 128;

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
    let request_id = text("x-request-id").map_or_else(|| "unknown".to_owned(), |text| printable(&text));
    let date = text("date");
    let retry_after = text("retry-after").and_then(|text| retry_after(&text, date.as_deref()));
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

/// What an error and a log may hold of a text that anybody may have sent.
fn printable(text: &str) -> String {
    text.chars().filter(char::is_ascii_graphic).take(MAX_REQUEST_ID).collect()
}

/// How long an answer asks to wait (RFC 9110 section 10.2.3): a number of seconds, or a date, which is held against the date of
/// the answer, since this machine's clock may differ, or against this machine's clock where the answer has none. `None` where it
/// is neither.
fn retry_after(text: &str, date: Option<&str>) -> Option<Duration> {
    let text = text.trim_ascii();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u32::MAX).into()));
    }
    let until = httpdate::parse_http_date(text).ok()?;
    let now = date.and_then(|date| httpdate::parse_http_date(date).ok()).unwrap_or_else(SystemTime::now);
    Some(until.duration_since(now).unwrap_or_default())
}

/// Waits before the try after so many.
///
/// # Errors
/// [`Error::AskedToWait`], at once, where the broker asks for a wait that ends past the deadline.
pub(crate) async fn wait_for_next_try(tries: u32, asked_for: Option<Duration>, deadline: Instant) -> Result<(), Error> {
    let left = deadline.saturating_duration_since(Instant::now());
    match asked_for.filter(|asked_for| !asked_for.is_zero() && *asked_for >= left) {
        Some(asked_for) => Err(Error::AskedToWait { seconds: asked_for.as_secs() }),
        None => {
            sleep(pause(tries, asked_for)).await;
            Ok(())
        }
    }
}

/// Tries until there is an answer, another try is not worth it, or the broker asks for a wait that ends past the deadline.
pub(crate) async fn until_answered<T>(
    deadline: Instant,
    try_once: impl AsyncFn(u32) -> Result<T, Failed>,
) -> Result<T, Error> {
    let mut tries = 1;
    loop {
        match try_once(tries).await {
            Ok(answer) => return Ok(answer),
            Err(Failed::ForGood(error)) => return Err(error),
            Err(Failed::Again(error, _)) if tries >= MAX_TRIES => return Err(error),
            Err(Failed::Again(_, asked_for)) => wait_for_next_try(tries, asked_for, deadline).await?,
        }
        tries += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_broker_may_ask_to_wait_for_seconds_or_until_a_date() {
        let date = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        for (text, date, expected) in [
            ("0", None, Some(0)),
            ("120", date, Some(120)),
            (" 7 ", None, Some(7)),
            ("99999999999999999999999", None, Some(u64::from(u32::MAX))),
            ("Sun, 06 Nov 1994 08:51:37 GMT", date, Some(120)),
            ("Sunday, 06-Nov-94 08:50:37 GMT", date, Some(60)),
            ("Sun Nov  6 08:49:38 1994", date, Some(1)),
            ("Sun, 06 Nov 1994 08:40:00 GMT", date, Some(0)),
            ("Sun, 06 Nov 1994 08:40:00 GMT", None, Some(0)),
            ("", date, None),
            ("-1", date, None),
            ("1.5", date, None),
            ("soon", date, None),
        ] {
            assert_eq!(retry_after(text, date), expected.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn a_request_id_is_at_most_128_visible_characters() {
        assert_eq!(printable("Root=1-67891233-abcdef012345678912345678"), "Root=1-67891233-abcdef012345678912345678");
        assert_eq!(printable("a b\tc\u{1b}[2Jé"), "abc[2J");
        assert_eq!(printable(&"x".repeat(8000)), "x".repeat(128));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_is_asked_for_is_waited_for_in_full_within_the_time_there_is() {
        let began = Instant::now();
        let deadline = began + Duration::from_secs(30);
        wait_for_next_try(1, Some(Duration::from_secs(20)), deadline).await.unwrap();
        assert!((20..22).contains(&began.elapsed().as_secs()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_past_the_deadline_is_not_begun() {
        let deadline = Instant::now() + Duration::from_secs(30);
        for asked in [30, 31, 3600] {
            let ended = wait_for_next_try(1, Some(Duration::from_secs(asked)), deadline).await;
            assert!(matches!(ended, Err(Error::AskedToWait { seconds }) if seconds == asked));
        }
        assert_eq!(deadline.duration_since(Instant::now()), Duration::from_secs(30));
    }
}
