use ports::{Fault, chain};
use web::{Caller, Outcome, Problem};

/// Why a request was not done: what its caller is told, and what the audit log says.
#[derive(Debug)]
pub(crate) struct Stop {
    pub(crate) outcome: Outcome,
    /// A stable code, for the event.
    pub(crate) reason: &'static str,
    /// For the caller.
    pub(crate) problem: Problem,
}

impl Stop {
    const fn new(outcome: Outcome, reason: &'static str, problem: Problem) -> Self {
        Self { outcome, reason, problem }
    }

    /// The request is not one that the route takes.
    pub(crate) const fn malformed(reason: &'static str) -> Self {
        Self::new(Outcome::Refused, reason, Problem::Malformed)
    }

    /// The caller did not prove itself. One answer for every reason.
    pub(crate) const fn refused(reason: &'static str) -> Self {
        Self::new(Outcome::Refused, reason, Problem::Refused)
    }

    /// There is no such thing in this deployment, whoever asks.
    pub(crate) const fn missing(reason: &'static str) -> Self {
        Self::new(Outcome::Refused, reason, Problem::NotFound { detail: None })
    }

    /// It was asked too often.
    pub(crate) const fn limited(reason: &'static str, retry_after: u64) -> Self {
        Self::new(Outcome::Refused, reason, Problem::TooManyRequests { retry_after })
    }

    /// The caller proved itself, and does not get it.
    pub(crate) const fn denied(reason: &'static str) -> Self {
        Self::new(Outcome::Denied, reason, Problem::Denied { detail: None })
    }

    /// It could not be done; trying again makes sense.
    pub(crate) const fn failed(reason: &'static str) -> Self {
        Self::new(Outcome::Failed, reason, Problem::Unavailable)
    }

    /// A step of it could not be done, which the log tells more of.
    pub(crate) fn fault(step: &'static str, fault: &Fault, caller: &Caller) -> Self {
        tracing::error!(step, error = chain(fault), request_id = caller.request_id, "could not answer");
        Self::failed(step)
    }
}
