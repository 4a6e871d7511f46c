use ports::{Fault, chain};

use crate::{Caller, Outcome, Problem};

/// How a request ended, for its answer and its audit event.
#[derive(Debug)]
pub struct Ending {
    /// For the event.
    pub outcome: Outcome,
    /// Why it ended so, as a stable code, for the event.
    pub reason: Option<&'static str>,
    /// The body of the answer, or the problem.
    pub answer: Result<String, Problem>,
}

impl Ending {
    /// What was asked for was released.
    #[must_use]
    pub const fn granted(answer: String) -> Self {
        Self { outcome: Outcome::Granted, reason: None, answer: Ok(answer) }
    }

    /// The caller did not prove itself.
    #[must_use]
    pub const fn refused(reason: &'static str, problem: Problem) -> Self {
        Self { outcome: Outcome::Refused, reason: Some(reason), answer: Err(problem) }
    }

    /// The caller proved itself, and does not get what it asks for.
    #[must_use]
    pub const fn denied(reason: &'static str, problem: Problem) -> Self {
        Self { outcome: Outcome::Denied, reason: Some(reason), answer: Err(problem) }
    }

    /// It could not be done.
    #[must_use]
    pub const fn failed(reason: &'static str) -> Self {
        Self { outcome: Outcome::Failed, reason: Some(reason), answer: Err(Problem::Unavailable) }
    }

    /// A step of it could not be done, which the log tells more of.
    #[must_use]
    pub fn fault(step: &'static str, fault: &Fault, caller: &Caller) -> Self {
        tracing::error!(step, error = chain(fault), request_id = caller.request_id, "could not answer");
        Self::failed(step)
    }
}
