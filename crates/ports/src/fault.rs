/// What a service said in place of an answer, for the log.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a port gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// There is no such thing.
    #[error("not found")]
    Missing,
    /// A precondition did not hold: somebody else was first.
    #[error("changed by somebody else")]
    Conflict,
    /// The service refuses what was asked, and would again: the caller's to mend.
    #[error("refused by the service")]
    Invalid(#[source] Cause),
    /// The service asks for fewer requests.
    #[error("throttled")]
    Throttled(#[source] Cause),
    /// This program's role does not allow the call: the deployment is wrong, not the caller.
    #[error("not permitted to this function's role")]
    Forbidden(#[source] Cause),
    /// The service failed or did not answer in time.
    #[error("unavailable")]
    Unavailable(#[source] Cause),
    /// The service answered with something that cannot be used.
    #[error("unusable content: {0}")]
    Unusable(&'static str),
}
