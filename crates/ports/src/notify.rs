use protocol::Secret;

use crate::Fault;

/// Sends short messages (Amazon SNS `Publish` to a phone number).
pub trait SendSms: Send + Sync + 'static {
    /// Sends a text to a phone number (E.164: `+` and digits). `Ok` means that the service took it, not that it came. Where the
    /// service's answer is lost on the way, it may come twice.
    fn send(&self, phone: &str, text: &Secret<String>) -> impl Future<Output = Result<(), Fault>> + Send;
}

/// Sends mail (Amazon SES `SendEmail`).
pub trait SendMail: Send + Sync + 'static {
    /// Sends a plain text to one address. `Ok` means that the service took it, not that it came. Where the service's answer is lost on
    /// the way, it may come twice.
    fn send(&self, to: &str, subject: &str, text: &Secret<String>) -> impl Future<Output = Result<(), Fault>> + Send;
}

/// What is posted to a webhook (Standard Webhooks: <https://www.standardwebhooks.com>).
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Names the message, so that who receives it twice knows.
    pub id: String,
    /// When it is sent, Unix time in seconds.
    pub timestamp: u64,
    /// JSON.
    pub body: Secret<String>,
}

/// Posts to the one webhook of a deployment, signed with its key.
pub trait PostWebhook: Send + Sync + 'static {
    /// Gets what posting needs, so that the first message does not wait for it.
    fn prepare(&self) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Posts a message. `Ok` means that the receiver answered that it has it (2xx).
    fn post(&self, webhook: &Webhook) -> impl Future<Output = Result<(), Fault>> + Send;
}
