use aws_sdk_sns::{Client, types::MessageAttributeValue};
use ports::{Fault, SendSms};
use protocol::Secret;

use crate::{Connection, connection::addressed_fault};

/// Amazon SNS, for text messages to phone numbers alone: none of its topics is ever named.
#[derive(Clone, Debug)]
pub struct Sns {
    client: Client,
    sender_id: Option<String>,
}

impl Sns {
    /// A client. `sender_id` is what phones show as the sender, where the country allows one: 1 to 11 letters and digits.
    #[must_use]
    pub fn new(connection: &Connection, sender_id: Option<String>) -> Self {
        Self { client: Client::new(&connection.0), sender_id }
    }
}

impl SendSms for Sns {
    /// `sns:Publish`. Sent as transactional, so that it comes first, and where advertising is shut out too.
    ///
    /// Source: Amazon SNS developer guide, "Sending SMS messages", `AWS.SNS.SMS.SMSType` and `AWS.SNS.SMS.SenderID`.
    async fn send(&self, phone: &str, text: &Secret<String>) -> Result<(), Fault> {
        let mut publish = self
            .client
            .publish()
            .phone_number(phone)
            .message(text.expose())
            .message_attributes("AWS.SNS.SMS.SMSType", attribute("Transactional")?);
        if let Some(sender_id) = &self.sender_id {
            publish = publish.message_attributes("AWS.SNS.SMS.SenderID", attribute(sender_id)?);
        }
        publish.send().await.map(|_| ()).map_err(|error| addressed_fault(&error))
    }
}

fn attribute(value: &str) -> Result<MessageAttributeValue, Fault> {
    let attribute = MessageAttributeValue::builder().data_type("String").string_value(value);
    attribute.build().map_err(|error| Fault::Invalid(error.into()))
}
