use protocol::SubjectName;
use web::{Caller, Event, Outcome, audit};

use crate::{channel::Channel, stop::Stop};

/// The wire's names in policies and audit: these routes, and those of the older service.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wire {
    V2,
    Older,
}

impl Wire {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::V2 => "v2",
            Self::Older => "v1",
        }
    }
}

/// What is known of a request, for its audit event. Until the caller proved itself it holds what is well-formed and short alone: a
/// stranger's bytes stay out of the log.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    action: &'static str,
    pub(crate) caller: &'a Caller,
    pub(crate) wire: Wire,
    /// The certificate's subject.
    pub(crate) subject: Option<SubjectName>,
    /// By which a code was asked for.
    pub(crate) channel: Option<Channel>,
    /// The `sub` of the access token, once it was verified.
    pub(crate) bearer: Option<String>,
    /// Its `ses`.
    pub(crate) session: Option<String>,
    /// The serial number that is to be revoked, decimal.
    pub(crate) serial: Option<String>,
    /// The names that the certificate is to have beside its subject, once policy allows them.
    pub(crate) wants: Option<String>,
    /// The policies that allow it.
    pub(crate) policies: Option<String>,
    /// The one-time token's, the key of its row in the ledger.
    pub(crate) jti: Option<String>,
}

impl<'a> Record<'a> {
    pub(crate) const fn new(action: &'static str, caller: &'a Caller, wire: Wire) -> Self {
        Self {
            action,
            caller,
            wire,
            subject: None,
            channel: None,
            bearer: None,
            session: None,
            serial: None,
            wants: None,
            policies: None,
            jti: None,
        }
    }

    /// Writes the event of how the request ended.
    pub(crate) fn end<T>(&self, ended: Result<T, Stop>) -> Result<T, Stop> {
        match &ended {
            Ok(_) => self.audit(Outcome::Granted, None),
            Err(stop) => self.audit(stop.outcome, Some(stop.reason)),
        }
        ended
    }

    /// Writes the event.
    pub(crate) fn audit(&self, outcome: Outcome, reason: Option<&'static str>) {
        audit(&Event {
            reason,
            source_ip: Some(self.caller.source_ip),
            wire: Some(self.wire.as_str()),
            subject: self.subject.as_ref().map(SubjectName::as_str),
            channel: self.channel.map(Channel::as_str),
            bearer: self.bearer.as_deref(),
            session: self.session.as_deref(),
            serial: self.serial.as_deref(),
            wants: self.wants.as_deref(),
            policies: self.policies.as_deref(),
            jti: self.jti.as_deref(),
            ..Event::new(self.action, outcome, &self.caller.request_id)
        });
    }
}
