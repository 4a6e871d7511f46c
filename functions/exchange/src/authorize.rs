use std::iter;

use policy::{Access, Action, Circumstances, Decision, Policies, Principal, TokenDenied, TokenOptions};
use ports::{Ledger, Row, SpendError};
use protocol::{AltName, Denial, DenialCode, Group, VerifiedExchange, Want};

/// A verified exchange all of whose wants policy allows. [`authorize`] alone makes one.
pub(crate) struct Authorized {
    exchange: VerifiedExchange,
    policies: String,
    token: Option<TokenOptions>,
}

/// An authorized exchange whose request id was spent by it. [`Authorized::spend`] alone makes one, and releasing takes
/// it by value.
pub(crate) struct Spent {
    exchange: VerifiedExchange,
    policies: String,
    token: Option<TokenOptions>,
}

/// An exchange that policy does not allow, and which of its wants.
pub(crate) struct Denied {
    pub(crate) exchange: VerifiedExchange,
    pub(crate) denial: Denial,
    /// For the audit event.
    pub(crate) reason: &'static str,
}

/// What the ledger records beside the exchange itself.
#[derive(Clone, Copy)]
pub(crate) struct Attempt<'a> {
    pub(crate) circumstances: Circumstances<'a>,
    pub(crate) invocation_id: &'a str,
    pub(crate) keep_days: u64,
}

/// Asks policy about every want, and of a certificate about every name; the first one that it does not allow denies the exchange.
pub(crate) fn authorize(
    exchange: VerifiedExchange,
    policies: &Policies,
    circumstances: Circumstances<'_>,
    default_token_seconds: u32,
) -> Result<Authorized, Box<Denied>> {
    let principal = Principal::Group(exchange.group().as_str());
    let subject = subject(exchange.group());
    let mut allowing = Vec::new();
    let mut token = None;
    for (want, wanted) in exchange.wants().iter().enumerate() {
        let decide = |action: Action<'_>| match policies.decide(Access { principal, action, circumstances }) {
            Decision::Allow(reasons) => Ok(reasons),
            Decision::Deny => Err(TokenDenied::Policy.code()),
        };
        let allowed = match wanted {
            Want::Secret { id, .. } => decide(Action::ReadSecret(id)),
            Want::Aws { role, .. } => decide(Action::AssumeRole(role)),
            Want::EnrollmentToken { subject, sans, .. } => {
                let names = iter::once(subject.to_string()).chain(sans.iter().map(AltName::to_string));
                let decide = |name: String| {
                    let subject = subject.as_str();
                    decide(Action::EnrollCertificate { name: &name, subject, channel: None })
                };
                names.map(decide).collect::<Result<Vec<_>, _>>().map(|reasons| reasons.concat())
            }
            // There is one at most: no two wants are alike.
            Want::AccessToken {} => {
                let action = Action::IssueToken { subject: &subject, user_present: false, user_verified: false };
                match policies.decide_token(Access { principal, action, circumstances }, default_token_seconds) {
                    Ok((reasons, options)) => {
                        token = Some(options);
                        Ok(reasons)
                    }
                    Err(denied) => Err(denied.code()),
                }
            }
        };
        match allowed {
            Ok(reasons) => allowing.extend(reasons),
            Err(reason) => {
                let denial = Denial { code: DenialCode::Denied, want };
                return Err(Box::new(Denied { exchange, denial, reason }));
            }
        }
    }
    allowing.sort_unstable();
    allowing.dedup();
    Ok(Authorized { exchange, policies: allowing.join(" "), token })
}

/// The `sub` of a group's tokens.
pub(crate) fn subject(group: &Group) -> String {
    format!("group:{group}")
}

impl Authorized {
    /// The policies that allow it.
    pub(crate) fn policies(&self) -> &str {
        &self.policies
    }

    /// Spends the request id by one conditional write, which is the durable record of what is about to be released.
    pub(crate) async fn spend(self, ledger: &impl Ledger, attempt: Attempt<'_>) -> Result<Spent, SpendError> {
        let Self { exchange, policies, token } = self;
        let Circumstances { source_ip, now, wire } = attempt.circumstances;
        let row = Row {
            key: format!("exchange#{}#{}", exchange.group(), exchange.request_id()),
            // What never expires could be sent again for ever.
            ttl: exchange.expires_at().map(|expires_at| now.as_secs().max(expires_at) + attempt.keep_days * 86_400),
            record: vec![
                ("group", exchange.group().to_string()),
                ("pool_id", exchange.pool_id().to_string()),
                ("kid", exchange.kid().to_string()),
                ("wants", describe(exchange.wants())),
                ("policies", policies.clone()),
                ("wire", wire.to_owned()),
                ("source_ip", source_ip.to_string()),
                ("request_id", attempt.invocation_id.to_owned()),
                ("spent_at", now.as_secs().to_string()),
            ],
        };
        ledger.spend(row).await.map(|()| Spent { exchange, policies, token })
    }
}

impl Spent {
    /// Ends the custody, for releasing alone: the exchange, the policies that allow it, and what a token gets by them, where one is wanted.
    pub(crate) fn into_parts(self) -> (VerifiedExchange, String, Option<TokenOptions>) {
        (self.exchange, self.policies, self.token)
    }
}

/// Wants as one line of audit; no name holds a space.
pub(crate) fn describe(wants: &[Want]) -> String {
    let describe = |want: &Want| match want {
        Want::Secret { id, version_id, version_stage } => {
            let version = [version_id, version_stage].into_iter().flatten().map(|part| format!("@{part}"));
            format!("secret:{id}{}", version.collect::<String>())
        }
        Want::Aws { role, .. } => format!("aws:{role}"),
        Want::AccessToken {} => "access_token".to_owned(),
        // No name holds a bracket.
        Want::EnrollmentToken { subject, sans, .. } => {
            format!("enrollment_token:{subject}{}", sans.iter().map(|name| format!("[{name}]")).collect::<String>())
        }
    };
    wants.iter().map(describe).collect::<Vec<_>>().join(" ")
}
