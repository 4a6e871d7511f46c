use std::net::IpAddr;

use ports::Webhook;
use protocol::{Random, Secret, SubjectName};
use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::code::{CODE_SECONDS, Code};

/// Names a message: 16 random bytes, hex, after this.
const ID_PREFIX: &str = "msg_";

/// A code on its way to its subject, in words.
#[derive(Clone, Copy)]
pub(crate) struct Message<'a> {
    pub(crate) subject: &'a SubjectName,
    pub(crate) code: &'a Code,
    /// Who asked for it.
    pub(crate) source_ip: IpAddr,
}

/// What a webhook is told (`docs/enrolment.md`).
#[derive(Serialize)]
struct Told<'a> {
    r#type: &'static str,
    timestamp: String,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    subject: &'a SubjectName,
    address: &'a str,
    code: &'a str,
    text: &'a str,
    expires_in: u64,
}

impl Message<'_> {
    /// In one short message: at most 160 characters of GSM's alphabet (3GPP TS 23.038) for every subject, since one of two parts
    /// costs twice.
    pub(crate) fn short(self) -> Secret<String> {
        let Self { subject, code, .. } = self;
        let minutes = CODE_SECONDS / 60;
        let code = code.expose();
        Secret::new(format!(
            "{code} is the code for a certificate of {subject}. It ends in {minutes} minutes. Give it to nobody."
        ))
    }

    /// A mail's subject, which is shown where the mail is not opened: without the code.
    pub(crate) fn title(self) -> String {
        format!("Your code for a certificate of {}", self.subject)
    }

    /// With what helps to know a request that was somebody else's.
    pub(crate) fn long(self) -> Secret<String> {
        let (short, source_ip) = (self.short(), self.source_ip);
        let short = short.expose();
        Secret::new(format!(
            "{short}\n\nIt was asked for from {source_ip}. If that was not you, there is nothing to do: without this code nobody gets \
             the certificate.\n"
        ))
    }

    /// For the deployment's webhook, which is to pass it on to an address of its own.
    pub(crate) fn webhook(self, address: &str, now: u64, random: &dyn Random) -> Webhook {
        let mut id = [0; 16];
        random.fill(&mut id);
        let text = self.short();
        let at = i64::try_from(now).ok().and_then(|now| OffsetDateTime::from_unix_timestamp(now).ok());
        let told = Told {
            r#type: "enrollment.code",
            timestamp: at.and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default(),
            data: Data {
                subject: self.subject,
                address,
                code: self.code.expose(),
                text: text.expose(),
                expires_in: CODE_SECONDS,
            },
        };
        let body = serde_json::to_string(&told).expect("texts and numbers serialize");
        Webhook { id: format!("{ID_PREFIX}{}", hex::encode(id)), timestamp: now, body: Secret::new(body) }
    }
}

#[cfg(test)]
mod tests {
    use protocol::SystemRandom;

    use super::*;

    fn with<T>(subject: &str, read: impl FnOnce(Message<'_>) -> T) -> T {
        let code = Code::parse(Secret::new("01234567".into())).unwrap();
        let subject = subject.parse().unwrap();
        read(Message { subject: &subject, code: &code, source_ip: "192.0.2.7".parse().unwrap() })
    }

    #[test]
    fn a_short_message_is_one_for_every_subject() {
        let longest = format!("a@{}", &"_+-".repeat(21)[..62]);
        let text = with(&longest, |message| message.short()).take();
        assert!(text.len() <= 160, "{}", text.len());
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b" .@_+-".contains(&byte)), "{text}");
        let text = with("alice", |message| message.short()).take();
        let expected = "01234567 is the code for a certificate of alice. It ends in 5 minutes. Give it to nobody.";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_mail_says_who_asked_and_shows_the_code_to_who_opens_it() {
        assert_eq!(with("alice", |message| message.title()), "Your code for a certificate of alice");
        let text = with("alice", |message| message.long()).take();
        assert!(text.starts_with("01234567 ") && text.contains("from 192.0.2.7."), "{text}");
    }

    #[test]
    fn a_webhook_is_told_this_json() {
        let Webhook { id, timestamp, body } =
            with("alice", |message| message.webhook("telegram:\"42\"", 1_800_000_000, &SystemRandom));
        assert_eq!((id.len(), timestamp), (36, 1_800_000_000));
        let body: serde_json::Value = serde_json::from_str(body.expose()).unwrap();
        let text = with("alice", |message| message.short()).take();
        let data = serde_json::json!({
            "subject": "alice", "address": "telegram:\"42\"", "code": "01234567", "text": text, "expires_in": 300,
        });
        let expected = serde_json::json!({
            "type": "enrollment.code", "timestamp": "2027-01-15T08:00:00Z", "data": data,
        });
        assert_eq!(body, expected);
    }
}
