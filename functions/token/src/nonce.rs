use std::{collections::BTreeMap, sync::Arc};

use access_token::{Fingerprint, NonceClaims, pkce::CodeChallenge};
use aws_lc_rs::digest::{SHA256, digest};
use axum::{
    Extension,
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use ports::{Clock as _, Ledger as _, Row, SpendError};
use protocol::SystemRandom;
use serde::Deserialize;
use web::{Caller, Domain, Ending, Event, Problem, ProblemDetails, audit};

use crate::{Ports, Service};

/// How long a nonce is good for, in seconds.
const NONCE_SECONDS: u64 = 120;

/// The longest state, in bytes.
const MAX_STATE_BYTES: usize = 512;

/// What a client begins with (RFC 6749 section 4.1.1, RFC 7636 section 4.3).
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Begin {
    /// The key's fingerprint, `SHA256:...`, in base64url.
    client_id: String,
    /// Names this attempt; of the client's choice, 1 to 512 bytes, and not to be guessed.
    state: String,
    /// SHA-256 of the code verifier, base64url without padding.
    code_challenge: String,
    /// `S256`, which is also meant where it is left out.
    code_challenge_method: Option<String>,
    /// `code`.
    response_type: Option<String>,
}

/// A nonce that is waiting for its signature: a row of the ledger.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) client_id: String,
    pub(crate) challenge: CodeChallenge,
    pub(crate) nonce: String,
    /// The issuer's key that signed the nonce, and whose PEM the client signs.
    pub(crate) kid: String,
    expires_at: u64,
}

impl Pending {
    /// The row's key. The state is of the client's choice.
    pub(crate) fn key(state: &str) -> String {
        format!("nonce#{}", hex::encode(digest(&SHA256, state.as_bytes())))
    }

    /// Reads a row; `None` where it is not of this form.
    pub(crate) fn from_record(mut record: BTreeMap<String, String>) -> Option<Self> {
        Some(Self {
            client_id: record.remove("client_id")?,
            challenge: CodeChallenge::parse(&record.remove("code_challenge")?)?,
            nonce: record.remove("nonce")?,
            kid: record.remove("kid")?,
            expires_at: record.remove("expires_at")?.parse().ok()?,
        })
    }

    /// Whether its time has come. Rows outlive their `ttl`.
    pub(crate) const fn is_over(&self, now: u64) -> bool {
        self.expires_at <= now
    }

    fn into_row(self, state: &str, caller: &Caller) -> Row {
        Row {
            key: Self::key(state),
            ttl: Some(self.expires_at),
            record: vec![
                ("client_id", self.client_id),
                ("code_challenge", self.challenge.as_str().to_owned()),
                ("nonce", self.nonce),
                ("kid", self.kid),
                ("expires_at", self.expires_at.to_string()),
                ("source_ip", caller.source_ip.to_string()),
                ("request_id", caller.request_id.clone()),
            ],
        }
    }
}

/// A nonce for a client's key to sign.
///
/// The answer is a compact JWS (ES256) over `client_id`, `nonce` and `state`: the nonce is 16 random bytes in base64url. Its header
/// names the host that this issuer is asked at. It says nothing of whether the key is known. `docs/protocol-token.md` specifies the exchange.
#[utoipa::path(
    get,
    path = "/nonce",
    tag = "token",
    params(Begin),
    responses(
        (status = 200, description = "The nonce, signed", body = String, content_type = "text/plain"),
        (status = 400, description = "Something is missing or malformed, the method is not S256, or the state is taken", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 429, description = "Too many requests, from this address or in all", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 503, description = "Something that the broker needs does not answer", body = ProblemDetails, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn nonce<P: Ports>(
    State(service): State<Arc<Service<P>>>,
    caller: Caller,
    domain: Option<Extension<Domain>>,
    query: Result<Query<Begin>, QueryRejection>,
) -> Response {
    let domain = domain.map(|Extension(Domain(domain))| domain);
    let host = service.config.host.clone().or(domain);
    let ending = begin(&service, &caller, host.as_deref(), query).await;
    let problem = match ending.answer {
        Ok(jws) => return text(jws),
        Err(problem) => problem,
    };
    // One that is given is not worth an event: what comes of it is.
    audit(&Event {
        reason: ending.reason,
        source_ip: Some(caller.source_ip),
        ..Event::new("nonce", ending.outcome, &caller.request_id)
    });
    problem.respond(&caller.request_id)
}

async fn begin<P: Ports>(
    service: &Service<P>,
    caller: &Caller,
    host: Option<&str>,
    query: Result<Query<Begin>, QueryRejection>,
) -> Ending {
    let now = service.clock.unix_seconds();
    if let Err(retry_after) = service.nonces.count(caller.source_ip, now) {
        return Ending::refused("rate", Problem::TooManyRequests { retry_after });
    }
    let Ok(Query(begin)) = query else { return Ending::refused("malformed", Problem::Malformed) };
    let (challenge, state) = match check(&begin) {
        Ok(checked) => checked,
        Err(reason) => return Ending::refused(reason, Problem::Malformed),
    };
    let signer = match service.issuer.signer(&service.clock).await {
        Ok(signer) => signer,
        Err(fault) => return Ending::fault("keys", &fault, caller),
    };
    let claims = NonceClaims::new(begin.client_id.clone(), state.to_owned(), &SystemRandom);
    let pending = Pending {
        client_id: claims.client_id.clone(),
        challenge,
        nonce: claims.nonce.clone(),
        kid: signer.key().public().kid().to_string(),
        expires_at: now + NONCE_SECONDS,
    };
    match service.ledger.spend(pending.into_row(state, caller)).await {
        Ok(()) => Ending::granted(claims.sign(host, signer.key())),
        Err(SpendError::AlreadySpent) => Ending::refused("state_taken", Problem::Malformed),
        Err(SpendError::Fault(fault)) => Ending::fault("ledger", &fault, caller),
    }
}

fn check(begin: &Begin) -> Result<(CodeChallenge, &str), &'static str> {
    if begin.response_type.as_deref().is_some_and(|asked| asked != "code") {
        return Err("wrong_response_type");
    }
    if begin.code_challenge_method.as_deref().is_some_and(|method| method != "S256") {
        return Err("wrong_challenge_method");
    }
    let challenge = CodeChallenge::parse(&begin.code_challenge).ok_or("malformed_challenge")?;
    Fingerprint::from_client_id(&begin.client_id).map_err(|_| "malformed_client_id")?;
    if !(1..=MAX_STATE_BYTES).contains(&begin.state.len()) {
        return Err("malformed_state");
    }
    Ok((challenge, &begin.state))
}

/// A JWS as the older clients take it.
pub(crate) fn text(body: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (StatusCode::OK, headers, body).into_response()
}
