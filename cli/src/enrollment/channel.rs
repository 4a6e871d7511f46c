use std::{fmt, str::FromStr};

use serde::Serialize;

/// How the broker sends a code to a subject. To which address is the broker's directory's affair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// A text message.
    Sms,
    /// Mail.
    Mail,
    /// The broker's webhook, which may lead to any messenger.
    Webhook,
}

/// Not a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a channel: sms, mail or webhook")]
pub struct InvalidChannel;

impl FromStr for Channel {
    type Err = InvalidChannel;

    fn from_str(text: &str) -> Result<Self, InvalidChannel> {
        match text {
            "sms" => Ok(Self::Sms),
            "mail" => Ok(Self::Mail),
            "webhook" => Ok(Self::Webhook),
            _ => Err(InvalidChannel),
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sms => "sms",
            Self::Mail => "mail",
            Self::Webhook => "webhook",
        })
    }
}
