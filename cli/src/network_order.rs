use std::time::Duration;

use access_token::{Network, NetworkName, Scope, TokenRefusal};
use aws::{Connection, Lambda};
use ports::{Fault, InvokeFunction, Invoked};
use protocol::Secret;
use serde::{Deserialize, Serialize};

use crate::{BearerToken, Error, TokenError};

/// How the messages of the function `issue` begin where it is the lifetime that it refuses.
const LIFETIME: &str = "a token lives at ";

/// What an operator orders: a token for a network, outside of any exchange.
#[derive(Clone, Debug, Serialize)]
pub struct NetworkOrder {
    /// Where it is to be valid.
    pub network: Network,
    /// How long, in seconds. The deployment has a ceiling.
    pub seconds: u32,
    /// What for; it may be empty.
    pub scope: Scope,
    /// What it is called in logs. Without it the network's own text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<NetworkName>,
}

/// What the function answers, as far as it is used.
#[derive(Deserialize)]
struct Answer {
    access_token: Secret<String>,
}

impl NetworkOrder {
    /// Has the token issued by this stack, within this time, with AWS credentials from where the AWS SDKs look for them.
    ///
    /// # Errors
    /// [`TokenError::Lifetime`], [`TokenError::NotIssued`], [`TokenError::NotPermitted`], [`TokenError::NoFunction`],
    /// [`TokenError::Invoke`], [`Error::TimedOut`]; [`TokenError::ForeignToken`] where another function answers.
    pub async fn issue(&self, stack: &str, timeout: Duration) -> Result<BearerToken, Error> {
        let issue = async { self.issue_by(&Lambda::new(&Connection::from_environment().await), stack).await };
        Ok(tokio::time::timeout(timeout, issue).await.map_err(|_| Error::TimedOut)??)
    }

    async fn issue_by(&self, functions: &impl InvokeFunction, stack: &str) -> Result<BearerToken, TokenError> {
        let function = format!("{stack}-issue");
        let order = serde_json::to_vec(self).expect("an order serializes");
        match functions.invoke(&function, order).await {
            Ok(Invoked::Answered(answer)) => {
                let answer: Option<Answer> = serde_json::from_slice(answer.expose()).ok();
                let token = answer.and_then(|answer| BearerToken::read(answer.access_token));
                token.ok_or(TokenError::ForeignToken(TokenRefusal::Malformed))
            }
            Ok(Invoked::Failed { message }) if message.starts_with(LIFETIME) => Err(TokenError::Lifetime(message)),
            Ok(Invoked::Failed { message }) => Err(TokenError::NotIssued { function, message }),
            Err(Fault::Forbidden(source)) => Err(TokenError::NotPermitted { function, source }),
            Err(Fault::Missing) => Err(TokenError::NoFunction { function }),
            Err(source) => Err(TokenError::Invoke { function, source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use issue::{IssueError, Order};
    use ports::memory::{Failing, MemoryFunction};

    use super::*;
    use crate::bearer_token::tests::token;

    fn order() -> NetworkOrder {
        let (network, scope) = ("10.0.0.0/16".parse().unwrap(), "a b".parse().unwrap());
        NetworkOrder { network, seconds: 60, scope, name: Some("nightly".parse().unwrap()) }
    }

    #[tokio::test]
    async fn the_functions_token_is_received_for_an_order_that_it_understands() {
        let token = token("network:nightly", 1, 2);
        let answer = serde_json::json!({ "access_token": token.expose(), "expires_at": 2 }).to_string();
        let function = MemoryFunction::new(Invoked::Answered(Secret::new(answer.into_bytes())));
        assert_eq!(order().issue_by(&function, "prod").await.unwrap().expose(), token.expose());
        let [invocation] = &function.invocations()[..] else { panic!("not invoked once") };
        assert_eq!(invocation.name, "prod-issue");
        let understood: Order = serde_json::from_slice(&invocation.event).unwrap();
        assert_eq!((understood.network, understood.seconds, understood.scope), (order().network, 60, order().scope));
        assert_eq!(understood.name, order().name);
    }

    #[tokio::test]
    async fn a_lifetimes_refusal_is_told_from_other_failures() {
        let fails = async |message: String| {
            order().issue_by(&MemoryFunction::new(Invoked::Failed { message }), "prod").await.unwrap_err()
        };
        for refusal in [IssueError::TooLong(60), IssueError::TooShort] {
            assert!(matches!(fails(refusal.to_string()).await, TokenError::Lifetime(_)), "{refusal}");
        }
        for message in [IssueError::Fault(Fault::Missing).to_string(), "Task timed out after 10.00 seconds".to_owned()]
        {
            assert!(matches!(fails(message).await, TokenError::NotIssued { .. }));
        }
    }

    #[tokio::test]
    async fn missing_permission_is_told_from_a_service_that_fails() {
        let function = MemoryFunction::new(Invoked::Failed { message: String::new() });
        function.switch.set(Failing::Forbidden);
        let error = order().issue_by(&function, "prod").await.unwrap_err();
        assert!(matches!(error, TokenError::NotPermitted { function, .. } if function == "prod-issue"));
        function.switch.set(Failing::Unavailable);
        assert!(matches!(order().issue_by(&function, "prod").await, Err(TokenError::Invoke { .. })));
    }
}
