//! Network tokens for operators. The function is invoked with AWS credentials: IAM says who may
//! (`lambda:InvokeFunction`), and AWS CloudTrail, where it records invocations, who did.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

use access_token::{Network, NetworkName, Scope};
use issuer::{Issued, Issuer};
use ports::{Clock, Fault, Ledger, ReadObject, ReadSecret, chain};
use protocol::{Random, Secret};
use serde::{Deserialize, Serialize};
use web::{Event, Outcome, audit};

/// What is recorded in place of policies.
const IAM: &str = "iam";

/// What an operator orders: the function's event.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Where the token is to be valid.
    pub network: Network,
    /// How long, in seconds, at most what the deployment allows.
    pub seconds: u32,
    /// What for; it may be empty.
    #[serde(default)]
    pub scope: Scope,
    /// What it is called in logs: `sub` is `network:NAME`. Without it the network's own text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<NetworkName>,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// It would live longer than the deployment allows.
    #[error("a token lives at most {0} seconds here")]
    TooLong(u32),
    /// It would live no time at all.
    #[error("a token lives at least one second")]
    TooShort,
    /// A key or the ledger gave no answer.
    #[error("the token could not be issued")]
    Fault(#[source] Fault),
}

/// The function's answer.
#[derive(Debug, Serialize)]
pub struct Answer {
    /// The token.
    pub access_token: Secret<String>,
    /// When it ends, Unix time in seconds.
    pub expires_at: u64,
}

/// Issues a network token, within the deployment's limit, and writes the audit event.
///
/// # Errors
/// [`IssueError`].
pub async fn issue<O: ReadObject, S: ReadSecret>(
    order: Order,
    issuer: &Issuer<O, S>,
    ledger: &impl Ledger,
    clock: &impl Clock,
    random: &dyn Random,
    request_id: &str,
) -> Result<Answer, IssueError> {
    let Order { network, seconds, scope, name } = order;
    let subject = format!("network:{}", name.map_or_else(|| network.to_string(), String::from));
    let detail = format!("network {network}, scope {:?}, seconds {seconds}", scope.to_string());
    let event =
        Event { subject: Some(&subject), detail: Some(&detail), ..Event::new("issue", Outcome::Granted, request_id) };
    if seconds == 0 || seconds > issuer.max_token_seconds() {
        audit(&Event { outcome: Outcome::Denied, reason: Some("seconds"), ..event });
        let most = issuer.max_token_seconds();
        return Err(if seconds == 0 { IssueError::TooShort } else { IssueError::TooLong(most) });
    }
    let order =
        issuer::Order { subject: &subject, network, scope, seconds, policies: IAM, source_ip: None, request_id };
    match issuer.issue(order, ledger, clock, random).await {
        Ok(Issued { token, claims }) => {
            audit(&Event { session: Some(&claims.session), policies: Some(IAM), ..event });
            Ok(Answer { access_token: token, expires_at: claims.expires_at })
        }
        Err(fault) => {
            tracing::error!(error = chain(&fault), request_id, "could not issue");
            audit(&Event { outcome: Outcome::Failed, reason: Some("issue"), ..event });
            Err(IssueError::Fault(fault))
        }
    }
}
