use axum::{http::HeaderMap, response::Response};
use ports::{Clock as _, Row};
use web::{Bearer, Caller, Event, Outcome, audit};

use crate::{Ports, Service, answer::Answer, stop::Stop};

/// What is known of a request, for its audit event.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) caller: Caller,
    pub(crate) bearer: Bearer,
    action: &'static str,
    /// What it is about: a template, a thing, a task.
    pub(crate) wants: String,
    /// The policies that allowed it.
    pub(crate) policies: Option<String>,
    /// What was done.
    pub(crate) detail: Option<String>,
    /// The certificate that was made.
    pub(crate) certificate: Option<Issued>,
}

/// A certificate that was made, as the log names it.
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    /// Its id in AWS IoT.
    pub(crate) id: String,
    /// Its serial number, hex.
    pub(crate) serial: String,
    /// Its subject (RFC 4514).
    pub(crate) subject: String,
    /// Who signed it: a CA's id in AWS IoT, the ARN of a private CA, or its issuer's name.
    pub(crate) ca: String,
}

impl Record {
    pub(crate) const fn new(action: &'static str, wants: String, caller: Caller, bearer: Bearer) -> Self {
        Self { caller, bearer, action, wants, policies: None, detail: None, certificate: None }
    }

    /// The row of the ledger for what is done now, which ends after its own end by the deployment's days.
    pub(crate) fn row<P: Ports>(
        &self,
        service: &Service<P>,
        key: String,
        ends_at: u64,
        mut details: Vec<(&'static str, String)>,
    ) -> Row {
        let now = service.clock.unix_seconds();
        details.extend([
            ("wants", self.wants.clone()),
            ("policies", self.policies.clone().unwrap_or_default()),
            ("subject", self.bearer.subject.clone()),
            ("session", self.bearer.session.clone()),
            ("source_ip", self.caller.source_ip.to_string()),
            ("request_id", self.caller.request_id.clone()),
            ("made_at", now.to_string()),
        ]);
        Row { key, ttl: Some(ends_at.max(now) + service.config.audit_days * 86_400), record: details }
    }

    /// Writes the event and gives the answer.
    pub(crate) fn end(self, ending: Result<Answer, Stop>, request: &HeaderMap) -> Response {
        let (outcome, reason) = match &ending {
            Ok(_) => (Outcome::Granted, None),
            Err(stop) => (stop.outcome(), Some(stop.reason)),
        };
        let certificate = self.certificate.as_ref();
        let undone = ending.as_ref().err().and_then(|stop| stop.undoing.as_ref()).map(|undoing| undoing.word());
        audit(&Event {
            reason,
            source_ip: Some(self.caller.source_ip),
            subject: Some(&self.bearer.subject),
            session: Some(&self.bearer.session),
            wants: Some(&self.wants),
            policies: self.policies.as_deref(),
            detail: undone.or(self.detail.as_deref()),
            certificate: certificate.map(|issued| &*issued.id),
            serial: certificate.map(|issued| &*issued.serial),
            certificate_subject: certificate.map(|issued| &*issued.subject),
            ca: certificate.map(|issued| &*issued.ca),
            ..Event::new(self.action, outcome, &self.caller.request_id)
        });
        ending.unwrap_or_else(|stop| Answer::of_stop(&stop)).respond(request)
    }
}
