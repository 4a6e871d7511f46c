use protocol::Secret;

use crate::Fault;

/// How a function that was invoked ended.
#[derive(Clone, Debug)]
pub enum Invoked {
    /// It answered: JSON, which may be secret.
    Answered(Secret<Vec<u8>>),
    /// It ended with an error.
    Failed {
        /// The error's message. Whether it is fit to be shown is the function's affair.
        message: String,
    },
}

/// Invokes functions and waits for what they answer (AWS Lambda `Invoke`).
pub trait InvokeFunction: Send + Sync + 'static {
    /// Invokes the function of this name with an event in JSON.
    ///
    /// A function that is invoked and fails is no fault. Where the way to it breaks it may have run all the same, and it may
    /// run more than once.
    fn invoke(&self, name: &str, event: Vec<u8>) -> impl Future<Output = Result<Invoked, Fault>> + Send;
}
