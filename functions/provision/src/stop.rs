use axum::http::StatusCode;
use ports::{Fault, SpendError, chain};
use web::{Caller, Outcome};

use crate::undo::Undoing;

/// Why a request was not done: what its caller is told, and what the audit log says.
#[derive(Debug)]
pub(crate) struct Stop {
    pub(crate) status: StatusCode,
    /// A stable code, for the event.
    pub(crate) reason: &'static str,
    /// For the caller.
    pub(crate) text: String,
    /// What became of the certificate that was made before.
    pub(crate) undoing: Option<Undoing>,
}

impl Stop {
    fn new(status: StatusCode, reason: &'static str, text: impl Into<String>) -> Self {
        Self { status, reason, text: text.into(), undoing: None }
    }

    /// 400: the caller has to ask otherwise.
    pub(crate) fn bad(reason: &'static str, text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason, text)
    }

    /// 403: policy does not allow it.
    pub(crate) fn denied() -> Self {
        Self::new(StatusCode::FORBIDDEN, "policy", "policy does not allow this")
    }

    /// 404: there is no such thing.
    pub(crate) fn missing(text: &'static str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "missing", text)
    }

    /// 409: something is there already, or in use.
    pub(crate) fn conflict(text: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", text)
    }

    /// 503: it could not be done; trying again makes sense.
    pub(crate) fn unavailable(step: &'static str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, step, "the broker cannot do this now")
    }

    /// A step that a service did not do. What AWS IoT refuses is told in its words: they speak of what the caller or the
    /// template asks for. Everything else goes to the log.
    pub(crate) fn fault(step: &'static str, fault: &Fault, caller: &Caller) -> Self {
        match fault {
            Fault::Missing => Self::missing("there is no such thing"),
            Fault::Conflict => Self::conflict("it exists with other settings, or something needs it"),
            Fault::Invalid(cause) => Self::bad(step, format!("refused by AWS: {cause}")),
            Fault::Throttled(_) => Self::new(StatusCode::TOO_MANY_REQUESTS, "throttled", "AWS asks for fewer requests"),
            Fault::Forbidden(_) | Fault::Unavailable(_) | Fault::Unusable(_) => {
                tracing::error!(step, error = chain(fault), request_id = caller.request_id, "could not answer");
                Self::unavailable(step)
            }
        }
    }

    /// The same, where it has a meaning of its own that something is not there.
    pub(crate) fn fault_or(missing: Self, step: &'static str, fault: &Fault, caller: &Caller) -> Self {
        if matches!(fault, Fault::Missing) { missing } else { Self::fault(step, fault, caller) }
    }

    /// The ledger has no row of it, so that it is not done.
    pub(crate) fn not_remembered(error: &SpendError, caller: &Caller) -> Self {
        match error {
            // The keys of rows are ids that come once.
            SpendError::AlreadySpent => Self::unavailable("ledger"),
            SpendError::Fault(fault) => Self::fault("ledger", fault, caller),
        }
    }

    /// The same, after a certificate was made.
    pub(crate) fn after(self, undoing: Undoing) -> Self {
        Self { undoing: Some(undoing), ..self }
    }

    pub(crate) fn outcome(&self) -> Outcome {
        match self.status {
            StatusCode::FORBIDDEN => Outcome::Denied,
            status if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS => Outcome::Refused,
            _ => Outcome::Failed,
        }
    }
}
