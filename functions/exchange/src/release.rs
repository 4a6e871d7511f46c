use std::net::IpAddr;

use futures_util::future::try_join_all;
use issuer::{Issued, Order};
use policy::TokenOptions;
use ports::{AssumeRole, Fault, ReadSecret, RoleSession, VersionSelector};
use protocol::{
    AccessToken, Answer, AwsCredentials, Denial, DenialCode, Grant, SecretGrant, SystemRandom, TokenType,
    VerifiedExchange, Want,
};
use step::{OttOrder, Purpose};
use web::Caller;

use crate::{
    Adapters, Broker, Ports,
    authorize::{Spent, subject},
    config::RoleAlias,
};

/// AWS STS `AssumeRole`: the shortest session.
const MIN_SESSION_SECONDS: u32 = 900;

/// Why nothing was released.
pub(crate) enum Unreleased {
    /// There is no such thing; with what tells the caller alone, a compact JWE.
    NotFound(String),
    /// It could not be fetched.
    Fault(Fault),
}

/// What the parts of one release share.
struct Release<'a> {
    /// Whom tokens speak for: the group, as in its access tokens.
    holder: &'a str,
    /// The policies that allow it.
    policies: &'a str,
    /// What role sessions are called.
    session_name: &'a str,
    /// What an access token gets by policy, where one is wanted.
    token: Option<TokenOptions>,
    caller: &'a Caller,
}

/// Fetches everything that the exchange wants, all at once, and encrypts it for the caller: a compact JWE. One want that
/// cannot be had releases nothing.
pub(crate) async fn release<P: Ports>(broker: &Broker<P>, spent: Spent, caller: &Caller) -> Result<String, Unreleased> {
    let (exchange, policies, token) = spent.into_parts();
    let holder = subject(exchange.group());
    let session_name = format!("{}@{}", exchange.group(), exchange.request_id());
    let release = Release { holder: &holder, policies: &policies, session_name: &session_name, token, caller };
    match fetch(broker, &exchange, &release).await {
        Ok(answer) => Ok(exchange.seal(&answer, &SystemRandom)),
        Err((want, Fault::Missing)) => {
            let denial = Denial { code: DenialCode::NotFound, want };
            Err(Unreleased::NotFound(exchange.seal_denial(denial, &SystemRandom)))
        }
        Err((_, fault)) => Err(Unreleased::Fault(fault)),
    }
}

/// Everything, or the want that was first found not to be had, and why.
async fn fetch<P: Ports>(
    broker: &Broker<P>,
    exchange: &VerifiedExchange,
    release: &Release<'_>,
) -> Result<Answer, (usize, Fault)> {
    let fetches = exchange
        .wants()
        .iter()
        .enumerate()
        .map(async |(index, want)| grant(broker, want, release).await.map_err(|fault| (index, fault)));
    let granted = try_join_all(fetches).await?;
    let ends = granted.iter().filter_map(|grant| match grant {
        Grant::Aws(credentials) => Some(credentials.expires_at),
        Grant::AccessToken(token) => Some(token.expires_at),
        Grant::EnrollmentToken(token) => Some(token.expires_at),
        Grant::Secret(_) => None,
    });
    Ok(Answer { expires_at: ends.min(), granted })
}

async fn grant<P: Ports>(broker: &Broker<P>, want: &Want, release: &Release<'_>) -> Result<Grant, Fault> {
    let &Release { holder, policies, session_name, caller, .. } = release;
    let Adapters { secrets, ledger, roles, clock, .. } = &broker.adapters;
    match want {
        Want::Secret { id, version_id, version_stage } => {
            let selector = VersionSelector { id: version_id.as_deref(), stage: version_stage.as_deref() };
            let version = secrets.read(id, selector).await?;
            Ok(Grant::Secret(SecretGrant {
                id: id.clone(),
                version_id: version.version_id,
                version_stages: version.version_stages,
                value: version.value,
            }))
        }
        Want::Aws { role, seconds } => {
            let alias = broker.config.roles.get(role).ok_or(Fault::Missing)?;
            let session = session(alias, *seconds, session_name.to_owned(), caller.source_ip);
            let credentials = roles.assume(&session).await?;
            Ok(Grant::Aws(AwsCredentials {
                role: role.clone(),
                access_key_id: credentials.access_key_id,
                secret_access_key: credentials.secret_access_key,
                session_token: credentials.session_token,
                expires_at: credentials.expires_at,
            }))
        }
        Want::EnrollmentToken { subject, sans, csr_sha256 } => {
            let purpose = Purpose::Sign { subject, sans, csr: csr_sha256.as_ref() };
            let Caller { source_ip, request_id } = caller;
            let order = OttOrder { purpose, holder, policies, source_ip: *source_ip, request_id };
            let signer = broker.registrar.signer(clock).await?;
            let issued = broker.registrar.issue(order, &signer, ledger, clock, &SystemRandom).await?;
            Ok(Grant::EnrollmentToken(issued.token))
        }
        Want::AccessToken {} => {
            let TokenOptions { network, scope, seconds } =
                release.token.clone().ok_or(Fault::Unusable("a token that policy was not asked about"))?;
            let Caller { source_ip, request_id } = caller;
            let source_ip = Some(*source_ip);
            let token = Order { subject: holder, network, scope, seconds, policies, source_ip, request_id };
            let Issued { token, claims } = broker.issuer.issue(token, ledger, clock, &SystemRandom).await?;
            let expires_at = claims.expires_at;
            Ok(Grant::AccessToken(AccessToken { access_token: token, token_type: TokenType::Bearer, expires_at }))
        }
    }
}

fn session(alias: &RoleAlias, seconds: Option<u32>, session_name: String, source_ip: IpAddr) -> RoleSession {
    RoleSession {
        role_arn: alias.role_arn.clone(),
        session_name,
        seconds: seconds.unwrap_or(alias.max_seconds).clamp(MIN_SESSION_SECONDS, alias.max_seconds),
        policy: alias.bind_source_ip.then(|| bound_to(source_ip)),
    }
}

/// A session policy under which credentials work from one address alone, and for what AWS services call on the
/// caller's behalf.
///
/// Source: IAM User Guide, `aws:SourceIp` and `aws:ViaAWSService`. Not covered: calls through a VPC endpoint carry no
/// `aws:SourceIp` and are denied.
fn bound_to(source_ip: IpAddr) -> String {
    serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [
            { "Effect": "Allow", "Action": "*", "Resource": "*" },
            {
                "Effect": "Deny",
                "Action": "*",
                "Resource": "*",
                "Condition": {
                    "NotIpAddress": { "aws:SourceIp": source_ip.to_string() },
                    "Bool": { "aws:ViaAWSService": "false" },
                },
            },
        ],
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_stays_within_the_aliases_bounds() {
        let alias = RoleAlias { role_arn: "arn".into(), max_seconds: 1800, bind_source_ip: false };
        for (asked, given) in [(None, 1800), (Some(0), 900), (Some(1000), 1000), (Some(u32::MAX), 1800)] {
            assert_eq!(session(&alias, asked, "s".into(), IpAddr::from([192, 0, 2, 1])).seconds, given, "{asked:?}");
        }
    }

    #[test]
    fn a_bound_session_denies_every_other_address() {
        let alias = RoleAlias { role_arn: "arn".into(), max_seconds: 900, bind_source_ip: true };
        let policy = session(&alias, None, "s".into(), "2001:db8::1".parse().unwrap()).policy.unwrap();
        let policy: serde_json::Value = serde_json::from_str(&policy).unwrap();
        assert_eq!(policy["Statement"][1]["Condition"]["NotIpAddress"]["aws:SourceIp"], "2001:db8::1");
    }
}
