use std::time::Duration;

use aws_lc_rs::hmac;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{Http, is_private};
use ports::{Cached, Clock, ConfigError, Fault, PostWebhook, ReadSecret, Settings, Webhook};
use reqwest::header::CONTENT_TYPE;
use url::Url;

use crate::shared_key::SharedKey;

/// How long the receiver has. There is one try: a code that comes twice or late is of no use, and the subject asks again.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The deployment's webhook: posts by HTTPS, each message signed as Standard Webhooks say (<https://www.standardwebhooks.com>).
///
/// The key is a secret's text, base64 of 24 to 64 bytes; receivers are given it with `whsec_` before it. Redirects are not followed,
/// and what the receiver answers beside its status is not read.
pub struct SignedWebhook<S: ReadSecret, C: Clock> {
    http: Http,
    url: Url,
    key: Cached<SharedKey<S>>,
    clock: C,
}

impl<S: ReadSecret, C: Clock> SignedWebhook<S, C> {
    /// The webhook of the settings `WEBHOOK_URL`, which is `https` or on this machine, and `WEBHOOK_KEY_SECRET`, the name of its key's
    /// secret. `None` where there is no such URL.
    ///
    /// # Errors
    /// The first variable that is missing or not valid.
    pub fn read(settings: Settings<'_>, secrets: S, clock: C) -> Result<Option<Self>, ConfigError> {
        let Some(url) = settings.optional("WEBHOOK_URL") else { return Ok(None) };
        let url: Url = url.parse().ok().filter(is_private).ok_or(ConfigError("WEBHOOK_URL"))?;
        let key = SharedKey::new(secrets, settings.required("WEBHOOK_KEY_SECRET")?, key_bytes);
        Ok(Some(Self { http: Http::default(), url, key: Cached::new(key), clock }))
    }
}

impl<S: ReadSecret, C: Clock> PostWebhook for SignedWebhook<S, C> {
    async fn prepare(&self) -> Result<(), Fault> {
        self.key.get(&self.clock).await.map(|_| ())
    }

    async fn post(&self, webhook: &Webhook) -> Result<(), Fault> {
        let key = self.key.get(&self.clock).await?;
        // The URL may hold a secret of the receiver's, and reqwest's errors tell it.
        let unavailable = |error: reqwest::Error| Fault::Unavailable(error.without_url().into());
        let post = self
            .http
            .client(&self.url)
            .map_err(unavailable)?
            .post(self.url.clone())
            .timeout(TIMEOUT)
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", &webhook.id)
            .header("webhook-timestamp", webhook.timestamp)
            .header("webhook-signature", sign(&key.key, webhook))
            .body(webhook.body.expose().clone());
        let status = post.send().await.map_err(unavailable)?.status();
        if status.is_success() { Ok(()) } else { Err(Fault::Unavailable(format!("status {}", status.as_u16()).into())) }
    }
}

fn key_bytes(text: &str) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(text).ok()
}

/// Standard Webhooks, "Signature scheme": `v1` and HMAC-SHA256 over id, timestamp and body, with dots between.
fn sign(key: &hmac::Key, Webhook { id, timestamp, body }: &Webhook) -> String {
    let mut context = hmac::Context::with_key(key);
    context.update(format!("{id}.{timestamp}.").as_bytes());
    context.update(body.expose().as_bytes());
    format!("v1,{}", BASE64_STANDARD.encode(context.sign()))
}

#[cfg(test)]
mod tests {
    use protocol::Secret;

    use super::*;

    #[test]
    fn a_signature_is_that_of_the_published_vector() {
        // Of the reference libraries, github.com/standard-webhooks/standard-webhooks.
        let key = key_bytes("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let webhook = Webhook {
            id: "msg_p5jXN8AQM9LWM0D4loKWxJek".into(),
            timestamp: 1_614_265_330,
            body: Secret::new(r#"{"test": 2432232314}"#.into()),
        };
        let signature = sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), &webhook);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn sixty_four_letters_and_digits_are_a_key() {
        assert_eq!(key_bytes(&"aB3".repeat(21)[..60]).map(|key| key.len()), Some(45));
        assert_eq!(key_bytes(&"aB3x".repeat(16)).map(|key| key.len()), Some(48));
        assert_eq!(key_bytes("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), None);
    }
}
