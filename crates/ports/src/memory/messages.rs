use std::sync::{Arc, Mutex};

use protocol::Secret;

use super::{FaultSwitch, lock};
use crate::{Fault, PostWebhook, SendMail, SendSms, Webhook};

/// A text message that [`MemorySms`] was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentSms {
    /// The phone number.
    pub phone: String,
    /// What it says.
    pub text: String,
}

/// A mail that [`MemoryMail`] was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentMail {
    /// The address.
    pub to: String,
    /// Its subject.
    pub subject: String,
    /// What it says.
    pub text: String,
}

/// A message that [`MemoryWebhook`] was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostedWebhook {
    /// Its id.
    pub id: String,
    /// When it was sent, Unix time in seconds.
    pub timestamp: u64,
    /// Its JSON.
    pub body: String,
}

/// Phones in memory: every message is taken, and remembered; clones share them.
#[derive(Clone, Debug, Default)]
pub struct MemorySms {
    sent: Arc<Mutex<Vec<SentSms>>>,
    /// How it misbehaves.
    pub switch: FaultSwitch,
}

impl MemorySms {
    /// Every message that was sent, the oldest first.
    #[must_use]
    pub fn sent(&self) -> Vec<SentSms> {
        lock(&self.sent).clone()
    }
}

impl SendSms for MemorySms {
    async fn send(&self, phone: &str, text: &Secret<String>) -> Result<(), Fault> {
        self.switch.pass().await?;
        lock(&self.sent).push(SentSms { phone: phone.to_owned(), text: text.expose().clone() });
        Ok(())
    }
}

/// Mailboxes in memory: every mail is taken, and remembered; clones share them.
#[derive(Clone, Debug, Default)]
pub struct MemoryMail {
    sent: Arc<Mutex<Vec<SentMail>>>,
    /// How it misbehaves.
    pub switch: FaultSwitch,
}

impl MemoryMail {
    /// Every mail that was sent, the oldest first.
    #[must_use]
    pub fn sent(&self) -> Vec<SentMail> {
        lock(&self.sent).clone()
    }
}

impl SendMail for MemoryMail {
    async fn send(&self, to: &str, subject: &str, text: &Secret<String>) -> Result<(), Fault> {
        self.switch.pass().await?;
        let text = text.expose().clone();
        lock(&self.sent).push(SentMail { to: to.to_owned(), subject: subject.to_owned(), text });
        Ok(())
    }
}

/// A webhook in memory: every message is taken, and remembered; clones share it.
#[derive(Clone, Debug, Default)]
pub struct MemoryWebhook {
    posted: Arc<Mutex<Vec<PostedWebhook>>>,
    /// How it misbehaves.
    pub switch: FaultSwitch,
}

impl MemoryWebhook {
    /// Every message that was posted, the oldest first.
    #[must_use]
    pub fn posted(&self) -> Vec<PostedWebhook> {
        lock(&self.posted).clone()
    }
}

impl PostWebhook for MemoryWebhook {
    async fn prepare(&self) -> Result<(), Fault> {
        self.switch.pass().await
    }

    async fn post(&self, webhook: &Webhook) -> Result<(), Fault> {
        self.switch.pass().await?;
        let Webhook { id, timestamp, body } = webhook;
        lock(&self.posted).push(PostedWebhook { id: id.clone(), timestamp: *timestamp, body: body.expose().clone() });
        Ok(())
    }
}
