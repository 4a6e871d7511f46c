use aws_sdk_sesv2::{
    Client,
    error::BuildError,
    types::{Body, Content, Destination, EmailContent, Message},
};
use ports::{Fault, SendMail};
use protocol::Secret;

use crate::{Connection, connection::addressed_fault};

/// Amazon SES, for mail from one address, which must be verified there.
#[derive(Clone, Debug)]
pub struct Ses {
    client: Client,
    from: String,
}

impl Ses {
    /// A client that sends from this address.
    #[must_use]
    pub fn new(connection: &Connection, from: String) -> Self {
        Self { client: Client::new(&connection.0), from }
    }
}

impl SendMail for Ses {
    /// `ses:SendEmail` with the sender's identity.
    ///
    /// Not checked: that `to` is one address, which whoever knows it has to see to.
    async fn send(&self, to: &str, subject: &str, text: &Secret<String>) -> Result<(), Fault> {
        let message = message(subject, text).map_err(|error| Fault::Invalid(error.into()))?;
        self.client
            .send_email()
            .from_email_address(&self.from)
            .destination(Destination::builder().to_addresses(to).build())
            .content(EmailContent::builder().simple(message).build())
            .send()
            .await
            .map(|_| ())
            .map_err(|error| addressed_fault(&error))
    }
}

/// A plain text in UTF-8: without a character set SES takes a text for ASCII.
fn message(subject: &str, text: &Secret<String>) -> Result<Message, BuildError> {
    let content = |data: &str| Content::builder().data(data).charset("UTF-8").build();
    let body = Body::builder().text(content(text.expose())?).build();
    Ok(Message::builder().subject(content(subject)?).body(body).build())
}
