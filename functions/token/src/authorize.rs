use access_token::Presence;
use issuer::Order;
use policy::{Access, Action, Circumstances, Policies, Principal, SshKeyPrincipal, TokenOptions};
use web::Caller;

use crate::proof::Proven;

/// A client that proved itself, and that policy allows a token. [`authorize`] alone makes one, and an order comes of it.
pub(crate) struct Authorized {
    subject: String,
    policies: String,
    options: TokenOptions,
}

/// Asks policy; `Err` with the reason where it does not allow a token.
#[expect(clippy::needless_pass_by_value, reason = "a proof is used once")]
pub(crate) fn authorize(
    proven: Proven<'_>,
    policies: &Policies,
    circumstances: Circumstances<'_>,
    default_seconds: u32,
) -> Result<Authorized, &'static str> {
    let Proven { known, presence } = proven;
    let key = &known.line.key;
    let subject = key.fingerprint().to_string();
    let principal = Principal::SshKey(SshKeyPrincipal {
        fingerprint: &subject,
        file: &known.file,
        algorithm: &key.algorithm(),
        comment: key.comment(),
        hardware: key.is_hardware(),
    });
    let Presence { user_present, user_verified, .. } = presence;
    let action = Action::IssueToken { subject: &subject, user_present, user_verified };
    let allowed = policies.decide_token(Access { principal, action, circumstances }, default_seconds);
    let (policies, options) = allowed.map_err(|denied| denied.code())?;
    Ok(Authorized { subject, policies: policies.join(" "), options })
}

impl Authorized {
    /// The policies that allow it.
    pub(crate) fn policies(&self) -> &str {
        &self.policies
    }

    /// The token that it gets.
    pub(crate) fn order<'a>(&'a self, caller: &'a Caller) -> Order<'a> {
        Order {
            subject: &self.subject,
            network: self.options.network,
            scope: self.options.scope.clone(),
            seconds: self.options.seconds,
            policies: &self.policies,
            source_ip: Some(caller.source_ip),
            request_id: &caller.request_id,
        }
    }
}
