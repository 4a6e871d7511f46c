use access_token::{Fingerprint, KnownKey, Presence, Registry, SignatureRefusal, pkce::CodeVerifier, signed_bytes};
use issuer::Issuer;
use ports::{Clock as _, Fault, TakeRow as _};
use protocol::Secret;
use serde::Deserialize;

use crate::{Ports, Service, nonce::Pending};

/// What a client comes for its token with (RFC 6749 section 4.1.3, RFC 7636 section 4.5).
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Redeem {
    /// As in the request for the nonce.
    client_id: String,
    /// As in the request for the nonce.
    state: String,
    /// The ssh key's signature (RFC 4253 section 6.6) over nonce and PEM, in base64url.
    code: String,
    /// What the challenge was made of.
    #[schema(value_type = String)]
    code_verifier: Secret<String>,
    /// `authorization_code`.
    grant_type: Option<String>,
}

/// A request whose parts are well formed.
struct WellFormed {
    client_id: String,
    state: String,
    signature: Vec<u8>,
    verifier: CodeVerifier,
}

/// A client that proved to hold the private half of a known key. [`prove`] alone makes one, and issuing takes it.
pub(crate) struct Proven<'a> {
    pub(crate) known: &'a KnownKey,
    pub(crate) presence: Presence,
}

/// Why a client did not prove itself.
#[derive(Debug)]
pub(crate) enum Unproven {
    /// A part is missing, malformed, or not the one that belongs here.
    Malformed(&'static str),
    /// The key is not known, or did not sign this.
    Refused(&'static str),
    /// It could not be checked.
    Fault(&'static str, Fault),
}

impl From<SignatureRefusal> for Unproven {
    fn from(refusal: SignatureRefusal) -> Self {
        Self::Refused(match refusal {
            SignatureRefusal::Malformed => "malformed_signature",
            SignatureRefusal::Sha1 => "sha1",
            SignatureRefusal::WrongAlgorithm => "wrong_algorithm",
            SignatureRefusal::WrongSignature => "wrong_signature",
        })
    }
}

impl Redeem {
    /// Reads the body; `None` where a part is missing, unknown or malformed.
    fn parse(body: &[u8]) -> Option<WellFormed> {
        // serde takes a list for a structure as well.
        if body.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
            return None;
        }
        let Self { client_id, state, code, code_verifier, grant_type } = serde_json::from_slice(body).ok()?;
        if grant_type.is_some_and(|grant_type| grant_type != "authorization_code") {
            return None;
        }
        let signature = access_token::decode_lenient(&code).filter(|signature| !signature.is_empty())?;
        Some(WellFormed { client_id, state, signature, verifier: CodeVerifier::parse(code_verifier)? })
    }
}

/// The checks in their order: form; the state, which this spends; its time, client and verifier; the key; the signature; what a
/// security key must have said of its user.
pub(crate) async fn prove<'a, P: Ports>(
    service: &Service<P>,
    registry: &'a Registry,
    body: &[u8],
) -> Result<Proven<'a>, Unproven> {
    let WellFormed { client_id, state, signature, verifier } =
        Redeem::parse(body).ok_or(Unproven::Malformed("malformed"))?;
    let taken = service.ledger.take(&Pending::key(&state)).await;
    let taken = taken.map_err(|fault| Unproven::Fault("ledger", fault))?;
    let pending = taken.and_then(Pending::from_record).ok_or(Unproven::Malformed("unknown_state"))?;
    if pending.is_over(service.clock.unix_seconds()) {
        return Err(Unproven::Malformed("expired_state"));
    }
    if pending.client_id != client_id {
        return Err(Unproven::Malformed("wrong_client"));
    }
    if !pending.challenge.is_answered_by(&verifier) {
        return Err(Unproven::Malformed("wrong_verifier"));
    }
    let fingerprint = Fingerprint::from_client_id(&client_id).map_err(|_| Unproven::Malformed("wrong_client"))?;
    let known = registry.find(&fingerprint).ok_or(Unproven::Refused("unknown_key"))?;
    let signed = signed(&service.issuer, &pending, &service.clock).await?;
    let presence = known.line.key.verify(&signed, &signature)?;
    let is_hardware = known.line.key.is_hardware();
    if is_hardware && !presence.user_present && !known.line.no_touch_required {
        return Err(Unproven::Refused("user_not_present"));
    }
    if known.line.verify_required && !presence.user_verified {
        return Err(Unproven::Refused("user_not_verified"));
    }
    Ok(Proven { known, presence })
}

/// Nonce and PEM of the key that signed it. That key may have been replaced since, and is live all the same.
async fn signed<O: ports::ReadObject, S: ports::ReadSecret>(
    issuer: &Issuer<O, S>,
    pending: &Pending,
    clock: &impl ports::Clock,
) -> Result<Vec<u8>, Unproven> {
    let key = issuer.live_key(&pending.kid, clock).await.map_err(|fault| Unproven::Fault("keys", fault))?;
    Ok(signed_bytes(&pending.nonce, &key.ok_or(Unproven::Refused("ended_key"))?))
}
