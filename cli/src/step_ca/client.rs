use std::time::Duration;

use http::{MAX_TRIES, pause, settled};
use pki::{Certificate, NamedRequest};
use protocol::Secret;
use reqwest::{
    Client, ClientBuilder, Method, RequestBuilder,
    header::{ACCEPT, CONTENT_TYPE},
};
use rustls::{AlertDescription, Error as TlsError};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use step::{CaUrl, RootFingerprint, SerialNumber};
use tokio::time::Instant;
use url::Url;

use crate::{
    Error,
    send::{NoReply, Reply, receive},
    step_ca::{
        Asked, CaSaid, Expected, Identity, Issued, ListedProvisioner, Names, ReasonCode, StepCaError, issued::Answer,
    },
    tls_error::tls_error,
};

/// The largest answer, in bytes: a page of provisioners, each with the certificates that it trusts.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// The most pages of provisioners, of [`PER_PAGE`] each.
const MAX_PAGES: usize = 50;

/// The most that a page may have (step-ca: `DefaultProvisionersMax`).
const PER_PAGE: &str = "100";

const JSON: &str = "application/json";

/// A step-ca, under one root.
///
/// Nothing is sent to a server whose certificate does not follow from the root, and no redirect is followed. What changes nothing is
/// asked again after network errors and server errors; what spends a token, or revokes, where no connection was made.
#[derive(Debug)]
pub struct StepCa {
    url: CaUrl,
    root: Certificate,
    timeout: Duration,
}

/// Who asks for a revocation.
#[derive(Clone, Copy, Debug)]
pub enum Revoker<'a> {
    /// The holder of the certificate, by its key.
    Holder(&'a Identity),
    /// Whoever has a token for it.
    Token(&'a Secret<String>),
}

/// What one call may do where it has no answer.
#[derive(Clone, Copy)]
enum Repeat {
    Always,
    /// Not where it may have been done.
    Once(Asked),
}

#[derive(Deserialize)]
struct RootAnswer {
    ca: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SignRequest<'a> {
    csr: String,
    ott: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_after: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RevokeRequest<'a> {
    serial: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ott: Option<&'a str>,
    reason_code: u8,
    reason: &'a str,
    /// step-ca knows no other revocation: the certificate is not renewed again.
    passive: bool,
}

#[derive(Deserialize)]
struct Revoked {
    status: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    provisioners: Vec<Value>,
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct EncryptedKey {
    key: String,
}

impl StepCa {
    /// Fetches the root of this fingerprint from the CA, whose own certificate cannot be checked before that: the fingerprint is the
    /// check. Tries and pauses take at most `timeout`.
    ///
    /// # Errors
    /// [`StepCaError::NoSuchRoot`], [`StepCaError::WrongRoot`]; what the last try ended with.
    pub async fn root(url: &CaUrl, fingerprint: &RootFingerprint, timeout: Duration) -> Result<Certificate, Error> {
        let client = build(settled(Client::builder()).tls_danger_accept_invalid_certs(true))?;
        let route = route(url, &format!("root/{fingerprint}"))?;
        let reply = ask(Repeat::Always, timeout, || client.get(route.clone()).header(ACCEPT, JSON)).await?;
        if reply.status.as_u16() == 404 {
            return Err(StepCaError::NoSuchRoot.into());
        }
        let RootAnswer { ca } = answer(&reply)?;
        let root = Certificate::from_pem(&ca).map_err(|_| StepCaError::WrongRoot)?;
        if fingerprint.is_of(root.der()) { Ok(root) } else { Err(StepCaError::WrongRoot.into()) }
    }

    /// The CA at this url, which has this root.
    #[must_use]
    pub const fn new(url: CaUrl, root: Certificate) -> Self {
        Self { url, root, timeout: Duration::from_secs(30) }
    }

    /// How long a call may take, tries and pauses included. By default 30 seconds.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// The root.
    #[must_use]
    pub const fn root_certificate(&self) -> &Certificate {
        &self.root
    }

    /// Obtains a certificate for a one-time token, for this long; for as long as the CA likes where nothing is said.
    ///
    /// # Errors
    /// [`StepCaError::Unknown`] where the token may be used up; [`StepCaError::Unusable`] where the certificate is not what was asked
    /// for; what the CA refuses it with.
    pub async fn sign(
        &self,
        csr: &NamedRequest,
        token: &Secret<String>,
        lifetime: Option<Duration>,
        expected: &Expected<'_>,
    ) -> Result<Issued, Error> {
        let client = self.client(None)?;
        // As Go writes a duration.
        let not_after = lifetime.map(|lifetime| format!("{}s", lifetime.as_secs()));
        let body = SignRequest { csr: csr.to_pem(), ott: token.expose(), not_after };
        let url = route(&self.url, "1.0/sign")?;
        let make = || post(&client, &url, &body);
        let reply = ask(Repeat::Once(Asked::Certificate), self.timeout, make).await?;
        Issued::verify(answer::<Answer>(&reply)?.certificates()?, &self.root, expected)
    }

    /// Renews a certificate, which stays this key's, and these names'.
    ///
    /// # Errors
    /// [`StepCaError::Refused`] where it is revoked, [`StepCaError::CertificateRefused`] where it has ended; [`StepCaError::Unusable`]
    /// where the certificate is not what was asked for.
    pub async fn renew(&self, identity: &Identity, now: u64) -> Result<Issued, Error> {
        let client = self.client(Some(identity))?;
        let url = route(&self.url, "1.0/renew")?;
        let reply = ask(Repeat::Always, self.timeout, || client.post(url.clone()).header(ACCEPT, JSON)).await?;
        let public_key = identity.public_key();
        let expected = Expected { public_key: &public_key, names: Names::Of(identity.certificate()), now };
        Issued::verify(answer::<Answer>(&reply)?.certificates()?, &self.root, &expected)
    }

    /// Revokes a certificate, by its serial number: it is not renewed again. Whoever has it can use it until it ends.
    ///
    /// # Errors
    /// [`StepCaError::Unknown`] where it may be revoked; what the CA refuses it with.
    pub async fn revoke(
        &self,
        by: Revoker<'_>,
        serial: &SerialNumber,
        code: ReasonCode,
        reason: &str,
    ) -> Result<(), Error> {
        let (identity, ott) = match by {
            Revoker::Holder(identity) => (Some(identity), None),
            Revoker::Token(token) => (None, Some(token.expose().as_str())),
        };
        let client = self.client(identity)?;
        let body = RevokeRequest { serial: serial.as_str(), ott, reason_code: code.number(), reason, passive: true };
        let url = route(&self.url, "1.0/revoke")?;
        let make = || post(&client, &url, &body);
        let reply = ask(Repeat::Once(Asked::Revocation), self.timeout, make).await?;
        let Revoked { status } = answer(&reply)?;
        if status == "ok" { Ok(()) } else { Err(unexpected(&reply)) }
    }

    /// Every provisioner that the CA lists.
    ///
    /// # Errors
    /// What the last try ended with.
    pub async fn provisioners(&self) -> Result<Vec<ListedProvisioner>, Error> {
        let client = self.client(None)?;
        let (mut found, mut cursor) = (Vec::new(), None::<String>);
        for _ in 0..MAX_PAGES {
            let mut url = route(&self.url, "provisioners")?;
            url.query_pairs_mut().append_pair("limit", PER_PAGE).extend_pairs(cursor.iter().map(|at| ("cursor", at)));
            let reply = ask(Repeat::Always, self.timeout, || client.get(url.clone()).header(ACCEPT, JSON)).await?;
            let Page { provisioners, next_cursor } = answer(&reply)?;
            found.extend(provisioners.into_iter().map(ListedProvisioner::new));
            match next_cursor.filter(|next| !next.is_empty()) {
                None => return Ok(found),
                next if next == cursor => return Err(unexpected(&reply)),
                next => cursor = next,
            }
        }
        Err(StepCaError::Unexpected { status: 200 }.into())
    }

    /// The encrypted private key of a provisioner, where the CA gives it out.
    ///
    /// # Errors
    /// What the last try ended with.
    pub async fn encrypted_key(&self, kid: &str) -> Result<Option<String>, Error> {
        let client = self.client(None)?;
        let mut url = route(&self.url, "")?;
        url.path_segments_mut().map_err(|()| Error::Url)?.pop_if_empty().extend(["provisioners", kid, "encrypted-key"]);
        let reply = ask(Repeat::Always, self.timeout, || client.get(url.clone()).header(ACCEPT, JSON)).await?;
        if reply.status.as_u16() == 404 {
            return Ok(None);
        }
        let EncryptedKey { key } = answer(&reply)?;
        Ok(Some(key).filter(|key| !key.is_empty()))
    }

    /// A client that knows this CA alone.
    fn client(&self, identity: Option<&Identity>) -> Result<Client, Error> {
        let root = reqwest::Certificate::from_pem(self.root.to_pem().as_bytes()).map_err(Error::Http)?;
        let builder = settled(Client::builder()).tls_certs_only([root]);
        build(match identity {
            Some(identity) => builder.identity(identity.to_tls()?),
            None => builder,
        })
    }
}

fn build(builder: ClientBuilder) -> Result<Client, Error> {
    builder.https_only(true).build().map_err(Error::Http)
}

fn route(url: &CaUrl, path: &str) -> Result<Url, Error> {
    format!("{url}/{path}").parse().map_err(|_| Error::Url)
}

fn post(client: &Client, url: &Url, body: &impl Serialize) -> RequestBuilder {
    let body = serde_json::to_vec(body).expect("a request serializes");
    client.request(Method::POST, url.clone()).header(CONTENT_TYPE, JSON).header(ACCEPT, JSON).body(body)
}

/// Asks until there is an answer, or another try is not worth it, allowed, or in time.
async fn ask(repeat: Repeat, timeout: Duration, make: impl Fn() -> RequestBuilder) -> Result<Reply, Error> {
    let deadline = Instant::now() + timeout;
    let mut tries = 1;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let (error, asked_for): (Error, _) = match receive(make(), MAX_ANSWER_BYTES, left).await {
            Ok(reply) => match (reply.status.as_u16(), repeat) {
                (status, Repeat::Always) if http::is_worth_another(status) => (refusal(&reply), reply.retry_after),
                _ => return Ok(reply),
            },
            Err(NoReply::TooLarge { status }) => return Err(StepCaError::Unexpected { status }.into()),
            Err(NoReply::Lost(source)) => {
                match by_tls(&source) {
                    // Later than the handshake something on the way may have broken in, after the CA had read it all.
                    Some(StepCaError::NotTheCa { .. }) if matches!(repeat, Repeat::Once(_)) && !source.is_connect() => {
                    }
                    Some(refused) => return Err(refused.into()),
                    None => {}
                }
                match repeat {
                    Repeat::Once(asked) if !source.is_connect() => {
                        return Err(StepCaError::Unknown { asked, source: source.into() }.into());
                    }
                    _ if Instant::now() >= deadline => return Err(Error::TimedOut),
                    Repeat::Always | Repeat::Once(_) => (StepCaError::Unreachable { tries, source }.into(), None),
                }
            }
        };
        let wait = pause(tries, asked_for);
        if tries >= MAX_TRIES || Instant::now() + wait >= deadline {
            return Err(error);
        }
        tokio::time::sleep(wait).await;
        tries += 1;
    }
}

/// What TLS refused: we the server, or the server us.
fn by_tls(error: &reqwest::Error) -> Option<StepCaError> {
    use AlertDescription as Alert;
    let error = tls_error(error)?;
    let TlsError::AlertReceived(alert) = error else {
        return Some(StepCaError::NotTheCa { reason: error.to_string() });
    };
    let is_of_ours = matches!(
        alert,
        Alert::BadCertificate
            | Alert::CertificateExpired
            | Alert::CertificateRevoked
            | Alert::CertificateUnknown
            | Alert::UnsupportedCertificate
            | Alert::UnknownCA
            | Alert::DecryptError
            | Alert::AccessDenied
            | Alert::CertificateRequired
    );
    let reason = format!("{alert:?}");
    Some(if is_of_ours { StepCaError::CertificateRefused { reason } } else { StepCaError::NotTheCa { reason } })
}

fn answer<T: DeserializeOwned>(reply: &Reply) -> Result<T, Error> {
    if !reply.status.is_success() {
        return Err(refusal(reply));
    }
    serde_json::from_slice(reply.body.expose()).map_err(|_| unexpected(reply))
}

fn refusal(reply: &Reply) -> Error {
    let status = reply.status.as_u16();
    let said = CaSaid::read(status, reply.body.expose());
    let error = match status {
        400 => StepCaError::Invalid(said),
        401 | 403 => StepCaError::Refused(said),
        404 => StepCaError::Missing(said),
        429 | 500.. => StepCaError::Failed(said),
        _ => StepCaError::Unexpected { status },
    };
    error.into()
}

fn unexpected(reply: &Reply) -> Error {
    StepCaError::Unexpected { status: reply.status.as_u16() }.into()
}
