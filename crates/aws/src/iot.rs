use aws_sdk_iot::{
    Client,
    config::{Builder, retry::RetryConfig},
};
use ports::Fault;

use crate::{
    Connection,
    connection::{request_fault as fault, unhurried},
};

mod certificates;
mod policies;
mod registration;
mod things;

/// AWS IoT in this program's account and region.
#[derive(Clone, Debug)]
pub struct Iot(Client);

impl Iot {
    /// A client.
    #[must_use]
    pub fn new(connection: &Connection) -> Self {
        Self(Client::new(&connection.0))
    }
}

/// For what makes something anew each time, or is not to run beside itself: asked once, with time to answer. Not even a
/// throttled call is tried again; the caller hears of it.
fn once() -> Builder {
    Builder::new().retry_config(RetryConfig::disabled()).timeout_config(unhurried())
}

/// Takes "there is none" for done.
fn gone(done: Result<(), Fault>) -> Result<(), Fault> {
    match done {
        Err(Fault::Missing) => Ok(()),
        done => done,
    }
}
