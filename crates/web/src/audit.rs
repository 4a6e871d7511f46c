use std::net::IpAddr;

/// How something ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// What was asked for was released or done.
    Granted,
    /// The caller did not prove itself.
    Refused,
    /// The caller proved itself, and policy does not allow it.
    Denied,
    /// It was allowed, and could not be done.
    Failed,
}

impl Outcome {
    const fn word(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Refused => "refused",
            Self::Denied => "denied",
            Self::Failed => "failed",
        }
    }
}

/// One line of the audit log. It names things and holds no values; what does not apply or is not known is absent.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// What was attempted: `exchange`, `rotate`, `nonce`, `token`, `verify`, `authorize`, `issue`, `device:provision`, `device:bulk`,
    /// `device:read`, `device:update`, `device:delete`, `enroll:challenge`, `enroll:token`, `enroll:revocation`.
    pub action: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it ended so, as a stable code.
    pub reason: Option<&'a str>,
    /// The invocation's id.
    pub request_id: &'a str,
    /// The caller's address.
    pub source_ip: Option<IpAddr>,
    /// The caller's group, once its proof held.
    pub group: Option<&'a str>,
    /// Whom a token speaks of, once the caller's proof held. Of an enrolment the certificate's subject that was asked for, also
    /// before the proof: then it is what the caller says, well-formed and no more.
    pub subject: Option<&'a str>,
    /// The `sub` of the access token that was shown, where it is valid.
    pub bearer: Option<&'a str>,
    /// How a code went to its subject: `sms`, `mail`, `webhook`.
    pub channel: Option<&'a str>,
    /// The `ses` of a token, the key of its row in the ledger.
    pub session: Option<&'a str>,
    /// The pool that its proof was made from.
    pub pool_id: Option<&'a str>,
    /// The `jti` of the exchange, the key of its row in the ledger.
    pub jti: Option<&'a str>,
    /// The wire format.
    pub wire: Option<&'a str>,
    /// What was asked for, as in the ledger.
    pub wants: Option<&'a str>,
    /// The id of a certificate that was made: SHA-256 of its DER.
    pub certificate: Option<&'a str>,
    /// Its serial number, hex; of `enroll:revocation` the one that was asked about, decimal as step-ca writes it.
    pub serial: Option<&'a str>,
    /// Its subject (RFC 4514).
    pub certificate_subject: Option<&'a str>,
    /// Who signed it.
    pub ca: Option<&'a str>,
    /// The policies that allowed it.
    pub policies: Option<&'a str>,
    /// What was done, in words of the action.
    pub detail: Option<&'a str>,
}

impl<'a> Event<'a> {
    /// An event of which nothing further is known.
    #[must_use]
    pub const fn new(action: &'static str, outcome: Outcome, request_id: &'a str) -> Self {
        Self {
            action,
            outcome,
            reason: None,
            request_id,
            source_ip: None,
            group: None,
            subject: None,
            bearer: None,
            channel: None,
            session: None,
            pool_id: None,
            jti: None,
            wire: None,
            wants: None,
            certificate: None,
            serial: None,
            certificate_subject: None,
            ca: None,
            policies: None,
            detail: None,
        }
    }
}

/// Writes the event as one line of the log, under the target `audit`.
pub fn audit(event: &Event<'_>) {
    tracing::info!(
        target: "audit",
        action = event.action,
        outcome = event.outcome.word(),
        reason = event.reason,
        request_id = event.request_id,
        source_ip = event.source_ip.map(tracing::field::display),
        group = event.group,
        subject = event.subject,
        bearer = event.bearer,
        channel = event.channel,
        session = event.session,
        pool_id = event.pool_id,
        jti = event.jti,
        wire = event.wire,
        wants = event.wants,
        certificate = event.certificate,
        serial = event.serial,
        certificate_subject = event.certificate_subject,
        ca = event.ca,
        policies = event.policies,
        detail = event.detail,
    );
}
