use std::time::Duration;

use access_token::{Fingerprint, KeySet, MAX_TOKEN_BYTES, NonceClaims, SshKey, TokenRefusal, pkce::CodeVerifier};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use http::Http;
use ports::{Clock as _, SystemClock};
use protocol::{Random as _, Secret, SystemRandom};
use reqwest::{
    RequestBuilder, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::{
    Agent, AgentKey, BearerToken, BrokerUrl, Candidates, Error, TokenError,
    send::{Failed, Reply, send, until_answered},
    token_cache::MAX_KEYS_BYTES,
};

/// How long a nonce is good for: after it there is no point in waiting for a signature.
const NONCE_LIFETIME: Duration = Duration::from_secs(120);

/// The type of the answer where policy denies (RFC 9457). A gateway in front of the broker has 403s of its own.
const DENIED: &str = "urn:countersign:problem:denied";

/// A client of the broker as an issuer of access tokens.
///
/// ```no_run
/// use countersign::{Agent, TokenClient};
///
/// # async fn example() -> Result<(), countersign::Error> {
/// let client = TokenClient::new("https://broker.example.com".parse()?);
/// let token = client.get(&Agent::from_environment()?, None).await?;
/// println!("{} until {}", token.claims().subject, token.claims().expires_at);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TokenClient {
    http: Http,
    url: BrokerUrl,
    timeout: Duration,
    before_touch: fn(&SshKey),
}

/// What a client comes for its token with (RFC 6749 section 4.1.3, RFC 7636 section 4.5).
#[derive(Serialize)]
struct Redeem<'a> {
    grant_type: &'static str,
    client_id: &'a str,
    state: &'a str,
    code: &'a str,
    code_verifier: &'a str,
}

/// The member of a problem (RFC 9457) that a client uses.
#[derive(Deserialize)]
struct Problem {
    r#type: String,
}

impl TokenClient {
    /// A client of this broker.
    #[must_use]
    pub fn new(url: BrokerUrl) -> Self {
        Self { http: Http::default(), url, timeout: Duration::from_secs(30), before_touch: |_| () }
    }

    /// How long a call may take, tries, pauses and touches included. By default 30 seconds.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Calls this each time before a security key is asked for a signature, and may want to be touched.
    #[must_use]
    pub fn before_touch(self, before_touch: fn(&SshKey)) -> Self {
        Self { before_touch, ..self }
    }

    /// A new token for a key of the agent: for the one of this fingerprint, else for the first that the broker knows, those in
    /// hardware last.
    ///
    /// The token is verified under the broker's published keys, and speaks of that key. Throttling, server errors and network
    /// errors are tried again, each time with a new state.
    ///
    /// # Errors
    /// [`TokenError::KeyRefused`] where the key is named, [`TokenError::AllRefused`] where none is;
    /// [`TokenError::Denied`] where policy denies the first that the broker knows; what the agent, and what the last try ended with.
    pub async fn get(&self, agent: &Agent, key: Option<&Fingerprint>) -> Result<BearerToken, Error> {
        self.in_time(async |deadline| self.try_keys(agent, key, deadline).await).await
    }

    /// The issuer's public keys.
    ///
    /// # Errors
    /// What the last try ended with.
    pub async fn keys(&self) -> Result<KeySet, Error> {
        self.in_time(async |deadline| self.fetch_keys(deadline).await).await
    }

    /// Asks the issuer whether a token is valid for the address that it sees this machine at.
    ///
    /// # Errors
    /// [`TokenError::RefusedByIssuer`]; [`TokenError::NotAToken`] where it is none that could be sent; what the last try ended with.
    pub async fn verify(&self, token: &str) -> Result<(), Error> {
        let header = Secret::new(format!("Bearer {token}"));
        let mut header = HeaderValue::from_str(header.expose()).map_err(|_| TokenError::NotAToken)?;
        header.set_sensitive(true);
        let url = self.url.route("verify");
        let verify = async |tries| {
            let request = self.request(reqwest::Method::GET, &url)?.header(AUTHORIZATION, header.clone());
            let reply = send(request, MAX_TOKEN_BYTES, tries).await?;
            match reply.status {
                StatusCode::OK => Ok(()),
                StatusCode::UNAUTHORIZED => Err(TokenError::RefusedByIssuer { request_id: reply.request_id }.into()),
                _ => Err(reply.unexpected().into()),
            }
        };
        self.in_time(async |deadline| until_answered(deadline, verify).await).await
    }

    async fn in_time<T>(&self, call: impl AsyncFnOnce(Instant) -> Result<T, Error>) -> Result<T, Error> {
        let deadline = Instant::now() + self.timeout;
        timeout_at(deadline, call(deadline)).await.map_err(|_| Error::TimedOut)?
    }

    async fn fetch_keys(&self, deadline: Instant) -> Result<KeySet, Error> {
        let url = self.url.route(".well-known/jwks.json");
        until_answered(deadline, async |tries| {
            let reply = send(self.request(reqwest::Method::GET, &url)?, MAX_KEYS_BYTES, tries).await?;
            let keys = Some(&reply).filter(|reply| reply.status == StatusCode::OK);
            let keys = keys.and_then(|reply| KeySet::from_json(reply.body.expose()).ok());
            Ok(keys.ok_or_else(|| reply.unexpected())?)
        })
        .await
    }

    async fn try_keys(
        &self,
        agent: &Agent,
        named: Option<&Fingerprint>,
        deadline: Instant,
    ) -> Result<BearerToken, Error> {
        let all = agent.keys().await?;
        if all.is_empty() {
            return Err(TokenError::NoKeys.into());
        }
        let candidates = Candidates::new(all.iter().map(|key| key.key().clone()).collect());
        let chosen = choose(all, named);
        if chosen.is_empty() {
            return Err(TokenError::NotInAgent(candidates).into());
        }
        let issuer = self.fetch_keys(deadline).await?;
        let mut last = None;
        let mut was_refused = false;
        for key in &chosen {
            let try_once = async |tries| self.try_once(agent, key, &issuer, tries).await;
            let tried = until_answered(deadline, try_once).await;
            match tried {
                Err(Error::Token(error)) if named.is_none() && is_of_the_key(&error) => {
                    was_refused |= matches!(error, TokenError::KeyRefused { .. });
                    last = Some(error);
                }
                ended => return ended,
            }
        }
        Err(if was_refused { TokenError::AllRefused(candidates) } else { last.unwrap_or(TokenError::NoKeys) }.into())
    }

    /// Nonce, signature, token.
    async fn try_once(
        &self,
        agent: &Agent,
        key: &AgentKey,
        issuer: &KeySet,
        tries: u32,
    ) -> Result<BearerToken, Failed> {
        let mut state = [0; 32];
        SystemRandom.fill(&mut state);
        let state = BASE64_URL_SAFE_NO_PAD.encode(state);
        let client_id = key.key().fingerprint().to_client_id();
        let verifier = CodeVerifier::generate(&SystemRandom);
        let mut url = self.url.route("nonce");
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &client_id)
            .append_pair("state", &state)
            .append_pair("code_challenge", verifier.challenge().as_str())
            .append_pair("code_challenge_method", "S256");
        let reply = send(self.request(reqwest::Method::GET, &url)?, MAX_TOKEN_BYTES, tries).await?;
        let message = message(&reply, &client_id, &state, issuer, &self.url)?;
        if key.key().is_hardware() {
            (self.before_touch)(key.key());
        }
        let signature = tokio::time::timeout(NONCE_LIFETIME, agent.sign(key, &message)).await;
        let code = BASE64_URL_SAFE_NO_PAD.encode(signature.map_err(|_| Error::TimedOut)??);
        let redeem = Redeem {
            grant_type: "authorization_code",
            client_id: &client_id,
            state: &state,
            code: &code,
            code_verifier: verifier.expose(),
        };
        let body = serde_json::to_vec(&redeem).expect("texts serialize");
        let request = self.request(reqwest::Method::POST, &self.url.route("nonce"))?;
        let request = request.header(CONTENT_TYPE, "application/json").body(body);
        let reply = send(request, MAX_TOKEN_BYTES, tries).await?;
        Ok(accept(reply, key.key().fingerprint(), issuer)?)
    }

    fn request(&self, method: reqwest::Method, url: &Url) -> Result<RequestBuilder, Error> {
        Ok(self.http.client(url).map_err(Error::Http)?.request(method, url.clone()))
    }
}

/// The keys to try, in their order: those in hardware want to be touched, and come last.
fn choose(mut keys: Vec<AgentKey>, named: Option<&Fingerprint>) -> Vec<AgentKey> {
    keys.retain(|key| named.is_none_or(|named| key.key().fingerprint() == named));
    keys.sort_by_key(|key| key.key().is_hardware());
    keys
}

/// Whether another key may fare better.
const fn is_of_the_key(error: &TokenError) -> bool {
    matches!(error, TokenError::KeyRefused { .. } | TokenError::AgentRefused | TokenError::AgentSignature(_))
}

/// What the key has to sign, where the answer is the broker's and for this request.
///
/// The nonce names the host that its issuer is asked at. At another one somebody passes the request on, and would get the token that
/// the signature is for. A broker on this machine may not know its host.
fn message(reply: &Reply, client_id: &str, state: &str, issuer: &KeySet, url: &BrokerUrl) -> Result<Vec<u8>, Error> {
    let nonce = NonceClaims::verify(text(reply)?, issuer).map_err(TokenError::ForeignNonce)?;
    let is_asked = nonce.host.as_deref().map_or_else(|| url.is_local(), |host| url.has_host(host));
    if !is_asked {
        return Err(TokenError::Relayed { host: nonce.host }.into());
    }
    if nonce.claims.client_id == client_id && nonce.claims.state == state {
        Ok(access_token::signed_bytes(&nonce.claims.nonce, nonce.issuer))
    } else {
        Err(TokenError::ForOthers.into())
    }
}

/// Takes the token out of the answer, where it is this key's and valid.
fn accept(reply: Reply, fingerprint: &Fingerprint, issuer: &KeySet) -> Result<BearerToken, Error> {
    let fingerprint = fingerprint.clone();
    match reply.status {
        StatusCode::UNAUTHORIZED => {
            return Err(TokenError::KeyRefused { fingerprint, request_id: reply.request_id }.into());
        }
        StatusCode::FORBIDDEN => {
            let problem: Option<Problem> = serde_json::from_slice(reply.body.expose()).ok();
            if problem.is_some_and(|problem| problem.r#type == DENIED) {
                return Err(TokenError::Denied { fingerprint, request_id: reply.request_id }.into());
            }
        }
        _ => {}
    }
    let token = BearerToken::read(Secret::new(text(&reply)?.to_owned()));
    let token = token.ok_or(TokenError::ForeignToken(TokenRefusal::Malformed))?;
    // The broker alone knows which address it sees this machine at.
    let verified = access_token::verify(token.expose(), token.first_address(), issuer, SystemClock.unix_seconds());
    verified.map_err(TokenError::ForeignToken)?;
    if token.claims().subject == fingerprint.as_str() { Ok(token) } else { Err(TokenError::ForOthers.into()) }
}

/// A successful answer's text.
fn text(reply: &Reply) -> Result<&str, Error> {
    let text = Some(reply).filter(|reply| reply.status == StatusCode::OK);
    let text = text.and_then(|reply| str::from_utf8(reply.body.expose()).ok());
    text.map(str::trim_ascii).ok_or_else(|| reply.unexpected())
}

#[cfg(test)]
mod tests {
    use access_token::{Claims, SigningKey};

    use super::*;
    use crate::agent::tests::{ALICE, BOB, SECURITY_KEY, agent_key};

    fn signing_key() -> SigningKey {
        SigningKey::from_pem(SigningKey::generate().expose()).unwrap()
    }

    fn reply(status: u16, body: &str) -> Reply {
        let status = StatusCode::from_u16(status).unwrap();
        Reply { status, request_id: "request".into(), body: Secret::new(body.into()), date: None, retry_after: None }
    }

    fn keys_of(key: &SigningKey) -> KeySet {
        [key.public().clone()].into_iter().collect()
    }

    #[test]
    fn security_keys_come_last_and_others_in_the_agents_order() {
        let fingerprints =
            |keys: &[AgentKey]| -> Vec<_> { keys.iter().map(|k| k.key().fingerprint().clone()).collect() };
        let [alice, bob, hardware] = [ALICE, BOB, SECURITY_KEY].map(agent_key);
        let chosen = choose(vec![hardware.clone(), bob.clone(), alice.clone()], None);
        assert_eq!(fingerprints(&chosen), fingerprints(&[bob.clone(), alice.clone(), hardware.clone()]));
        let named = choose(vec![hardware.clone(), bob.clone()], Some(bob.key().fingerprint()));
        assert_eq!(fingerprints(&named), fingerprints(&[bob]));
        assert!(choose(vec![hardware], Some(alice.key().fingerprint())).is_empty());
    }

    #[test]
    fn a_nonce_of_others_is_not_signed() {
        let (issuer, other) = (signing_key(), signing_key());
        let keys = keys_of(&issuer);
        let url: BrokerUrl = "https://broker.example.com/prod".parse().unwrap();
        let nonce = |client_id: &str, state: &str, key: &SigningKey| {
            let claims = NonceClaims::new(client_id.into(), state.into(), &SystemRandom);
            message(&reply(200, &claims.sign(Some("broker.example.com"), key)), "client", "state", &keys, &url)
        };
        let signed = nonce("client", "state", &issuer).unwrap();
        assert!(signed.ends_with(issuer.public().to_pem().as_bytes()));
        let foreign = nonce("client", "state", &other);
        assert!(matches!(foreign, Err(Error::Token(TokenError::ForeignNonce(TokenRefusal::UnknownKey)))));
        for (client_id, state) in [("other", "state"), ("client", "other")] {
            let for_others = nonce(client_id, state, &issuer);
            assert!(matches!(for_others, Err(Error::Token(TokenError::ForOthers))), "{client_id} {state}");
        }
        for (host, url, taken) in [
            (Some("broker.example.com"), "https://Broker.example.com:8443/prod", true),
            (Some("other.example.com"), "https://broker.example.com", false),
            (Some("broker.example.com"), "http://127.0.0.1:8080", false),
            (None, "https://broker.example.com", false),
            (None, "http://127.0.0.1:8080", true),
            (None, "http://api.execute-api.localhost:4566/prod", true),
        ] {
            let claims = NonceClaims::new("client".into(), "state".into(), &SystemRandom);
            let asked = url.parse().unwrap();
            let made = message(&reply(200, &claims.sign(host, &issuer)), "client", "state", &keys, &asked);
            assert_eq!(made.is_ok(), taken, "{host:?} {url}");
            assert!(taken || matches!(made, Err(Error::Token(TokenError::Relayed { .. }))), "{host:?} {url}");
        }
        let refused = message(&reply(400, ""), "client", "state", &keys, &url);
        assert!(matches!(refused, Err(Error::Unexpected { status: 400 })));
    }

    #[test]
    fn a_token_that_is_not_this_keys_or_not_valid_is_not_taken() {
        let issuer = signing_key();
        let (now, key) = (SystemClock.unix_seconds(), agent_key(ALICE));
        let fingerprint = key.key().fingerprint();
        let accepted = |subject: &str, expires_at, signer: &SigningKey| {
            let claims = Claims {
                issuer: "example".into(),
                subject: subject.into(),
                issued_at: now - 10,
                expires_at,
                network: "2001:db8::/32".parse().unwrap(),
                session: "session".into(),
                scope: "".parse().unwrap(),
            };
            accept(reply(200, &format!("{}\n", claims.sign(signer).expose())), fingerprint, &keys_of(&issuer))
        };
        assert_eq!(accepted(fingerprint.as_str(), now + 60, &issuer).unwrap().claims().expires_at, now + 60);
        let other = agent_key(BOB).key().fingerprint().to_string();
        assert!(matches!(accepted(&other, now + 60, &issuer), Err(Error::Token(TokenError::ForOthers))));
        for (expires_at, signer, refusal) in
            [(now - 1, &issuer, TokenRefusal::Expired), (now + 60, &signing_key(), TokenRefusal::UnknownKey)]
        {
            let refused = accepted(fingerprint.as_str(), expires_at, signer);
            assert!(matches!(refused, Err(Error::Token(TokenError::ForeignToken(found))) if found == refusal));
        }
    }

    #[test]
    fn a_denial_of_policy_is_told_from_a_gateways() {
        let key = agent_key(ALICE);
        let answered =
            |status, body: &str| accept(reply(status, body), key.key().fingerprint(), &KeySet::default()).unwrap_err();
        let denied = answered(403, r#"{"type":"urn:countersign:problem:denied","status":403}"#);
        assert!(matches!(denied, Error::Token(TokenError::Denied { .. })) && denied.exit_code() == 5);
        let gateway = answered(403, r#"{"message":"Missing Authentication Token"}"#);
        assert!(matches!(gateway, Error::Unexpected { status: 403 }));
        let refused = answered(401, "");
        assert!(matches!(refused, Error::Token(TokenError::KeyRefused { .. })) && refused.exit_code() == 4);
    }
}
