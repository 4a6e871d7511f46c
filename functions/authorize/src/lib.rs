//! The authorizer: a Lambda function that Amazon API Gateway asks about each request to a route behind it.
//!
//! Source: Amazon API Gateway Developer Guide, "Use API Gateway Lambda authorizers", type `REQUEST`.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

use std::net::IpAddr;

use access_token::{TokenRefusal, VerifiedToken, bearer};
use aws_lambda_events::{
    apigw::{
        ApiGatewayCustomAuthorizerPolicy, ApiGatewayCustomAuthorizerRequestTypeRequest,
        ApiGatewayCustomAuthorizerResponse,
    },
    iam::{IamPolicyEffect, IamPolicyStatement},
};
use issuer::{PublicKeys, Unverified};
use ports::{Clock, Fault, ReadObject, chain};
use serde::{Deserialize, Serialize};
use web::{Event, Outcome, audit};

/// The gateway's question.
pub type Request = ApiGatewayCustomAuthorizerRequestTypeRequest;

/// The answer: that the request may go on.
pub type Allowed = ApiGatewayCustomAuthorizerResponse<Context>;

/// What the function behind the authorizer learns of the token, as `requestContext.authorizer`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context {
    /// Whom it speaks of.
    pub sub: String,
    /// What it is for.
    pub scope: String,
    /// Names the session.
    pub ses: String,
}

/// Why the request does not go on.
#[derive(Debug, thiserror::Error)]
pub enum NotAllowed {
    /// The caller has no valid token. To a function's error of this very text the gateway answers 401; to any other 500.
    #[error("Unauthorized")]
    Unauthorized,
    /// The token could not be verified.
    #[error("the token could not be verified")]
    Fault(#[source] Fault),
}

/// Verifies the bearer token of a request against the address that the gateway saw.
///
/// The answer allows every route of the API's stage, so that it is right for all of them where the gateway keeps it; whether the
/// scope suffices is the route's to check.
///
/// # Errors
/// [`NotAllowed`].
pub async fn authorize<O: ReadObject>(
    request: &Request,
    keys: &PublicKeys<O>,
    clock: &impl Clock,
    request_id: &str,
) -> Result<Allowed, NotAllowed> {
    let source_ip = request.request_context.identity.as_ref().and_then(|identity| identity.source_ip.as_deref());
    let source_ip: Option<IpAddr> = source_ip.and_then(|address| address.parse().ok());
    let verified = async {
        let address = source_ip.ok_or(Unverified::Refused(TokenRefusal::WrongNetwork))?;
        let token = token(request).ok_or(Unverified::Refused(TokenRefusal::Malformed))?;
        keys.verify(token, address, clock).await
    };
    let refused = Event { source_ip, ..Event::new("authorize", Outcome::Refused, request_id) };
    match verified.await {
        Ok(token) => allow(&token, request.method_arn.as_deref().unwrap_or_default()).ok_or_else(|| {
            audit(&Event { reason: Some("malformed_arn"), ..refused });
            NotAllowed::Unauthorized
        }),
        Err(Unverified::Refused(refusal)) => {
            audit(&Event { reason: Some(refusal.code()), ..refused });
            Err(NotAllowed::Unauthorized)
        }
        Err(Unverified::Fault(fault)) => {
            tracing::error!(error = chain(&fault), request_id, "could not verify");
            audit(&Event { outcome: Outcome::Failed, reason: Some("keys"), ..refused });
            Err(NotAllowed::Fault(fault))
        }
    }
}

/// The token of the one `Authorization` header; of several, some program behind may read another than this one.
fn token(request: &Request) -> Option<&str> {
    let several = &request.multi_value_headers;
    let headers = if several.is_empty() { &request.headers } else { several };
    let mut found = headers.get_all("authorization").iter();
    match (found.next(), found.next()) {
        (Some(header), None) => bearer(header.to_str().ok()?),
        _ => None,
    }
}

/// `None` where the ARN of the method is not `arn:...:API/STAGE/METHOD/PATH`.
fn allow(token: &VerifiedToken, method_arn: &str) -> Option<Allowed> {
    let mut parts = method_arn.splitn(3, '/');
    let (api, stage) = (parts.next().filter(|api| api.starts_with("arn:"))?, parts.next()?);
    parts.next()?;
    let claims = token.claims();
    let mut statement = IamPolicyStatement::default();
    statement.effect = IamPolicyEffect::Allow;
    statement.action = vec!["execute-api:Invoke".into()];
    statement.resource = vec![format!("{api}/{stage}/*")];
    let mut policy = ApiGatewayCustomAuthorizerPolicy::default();
    policy.version = Some("2012-10-17".into());
    policy.statement = vec![statement];
    let mut allowed = Allowed::default();
    allowed.principal_id = Some(claims.subject.clone());
    allowed.policy_document = policy;
    allowed.context =
        Context { sub: claims.subject.clone(), scope: claims.scope.to_string(), ses: claims.session.clone() };
    Some(allowed)
}
