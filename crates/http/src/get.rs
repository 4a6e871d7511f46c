use reqwest::{
    StatusCode,
    header::{HeaderMap, LOCATION},
};
use url::Url;

use crate::{Http, MAX_TRIES, body, is_worth_another, pause};

/// What a `GET` came to.
#[derive(Debug)]
pub enum Fetched {
    /// The body of a 200.
    Body(Vec<u8>),
    /// It is somewhere else. Whoever goes there decides what he shows to whom.
    Elsewhere(Url),
}

/// Why there is no body.
#[derive(Debug, thiserror::Error)]
pub enum GetError {
    /// The answer has another status than 200.
    #[error("status {0}")]
    Status(u16),
    /// The body is larger than the caller takes.
    #[error("too large")]
    TooLarge,
    /// There was no answer.
    #[error("no answer")]
    Unreachable(#[from] reqwest::Error),
}

impl Http {
    /// Gets what is there, of at most `limit` bytes. Network errors, server errors and throttling are tried again.
    ///
    /// # Errors
    /// What the last try ended with.
    pub async fn get(&self, url: &Url, headers: &HeaderMap, limit: usize) -> Result<Fetched, GetError> {
        let mut tries = 1;
        loop {
            let error = match self.get_once(url, headers, limit).await {
                Err(error @ GetError::Unreachable(_)) => error,
                Err(GetError::Status(status)) if is_worth_another(status) => GetError::Status(status),
                ended => return ended,
            };
            if tries == MAX_TRIES {
                return Err(error);
            }
            tokio::time::sleep(pause(tries, None)).await;
            tries += 1;
        }
    }

    async fn get_once(&self, url: &Url, headers: &HeaderMap, limit: usize) -> Result<Fetched, GetError> {
        let response = self.client(url)?.get(url.clone()).headers(headers.clone()).send().await?;
        let status = response.status();
        if status == StatusCode::OK {
            return body(response, limit).await?.map(Fetched::Body).ok_or(GetError::TooLarge);
        }
        let elsewhere = response.headers().get(LOCATION).filter(|_| status.is_redirection());
        let elsewhere = elsewhere.and_then(|place| url.join(place.to_str().ok()?).ok());
        elsewhere.map(Fetched::Elsewhere).ok_or(GetError::Status(status.as_u16()))
    }
}
