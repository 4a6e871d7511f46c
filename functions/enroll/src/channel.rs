use serde::{Deserialize, Serialize};

/// How a code reaches its subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Channel {
    /// A short message, by Amazon SNS.
    Sms,
    /// Mail, by Amazon SES.
    Mail,
    /// The deployment's webhook, which passes it on.
    Webhook,
}

impl Channel {
    /// Every channel, in the order in which the older routes choose one.
    pub(crate) const ALL: [Self; 3] = [Self::Sms, Self::Mail, Self::Webhook];

    /// Its name in requests, policies and the log.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Sms => "sms",
            Self::Mail => "mail",
            Self::Webhook => "webhook",
        }
    }

    /// The channel of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.as_str() == name)
    }
}
