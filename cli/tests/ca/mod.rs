//! A step-ca in a test's process, as far as a client sees one: TLS under a root of its own, and the routes of its API. Tokens are good
//! once; who signed them is not checked, which a real step-ca does in the tests of the whole.
#![allow(dead_code, unreachable_pub, clippy::panic, clippy::unwrap_used, reason = "each test file uses its part")]

mod openssl;

use std::{
    collections::{BTreeMap, BTreeSet},
    future::pending,
    net::TcpListener,
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::Duration,
};

use axum::{
    Extension, Router,
    body::{Body, Bytes, to_bytes},
    extract::{Path, Query, Request, State},
    http::{StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::Response,
    routing::{get, post},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use openssl::Authority;
use pki::Certificate;
use protocol::AltName;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};
use serde_json::{Value, json};
use step::{CaUrl, RootFingerprint};
use tokio::sync::{Notify, oneshot};
use tokio_rustls::TlsAcceptor;

/// A CA, until it is dropped.
pub struct TestCa {
    pub url: CaUrl,
    pub fingerprint: RootFingerprint,
    inner: Arc<Inner>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Inner {
    authority: Authority,
    /// Requests and names of what was issued, by the key in PEM: what is renewed is issued again.
    issued: Mutex<BTreeMap<String, (String, Vec<String>)>>,
    /// Names of tokens that were shown.
    used: Mutex<BTreeSet<String>>,
    /// Serial numbers.
    revoked: Mutex<BTreeSet<String>>,
    provisioners: Mutex<Vec<Value>>,
    encrypted_keys: Mutex<BTreeMap<String, String>>,
    /// What is answered in place of a route.
    instead: Mutex<BTreeMap<String, Instead>>,
    /// Every request: its path, and its body.
    requests: Mutex<Vec<(String, Value)>>,
}

/// What is answered in place of what a route would.
#[derive(Clone, Debug)]
pub enum Instead {
    /// This.
    Answer(u16, String),
    /// A redirect to this url.
    Redirect(String),
    /// So many bytes.
    Bytes(usize),
    /// What the route answers, after so long.
    Late(Duration),
    /// What the route answers, where nobody gets it: it is done, and the answer is lost.
    Lost,
}

/// Cuts the connection.
#[derive(Clone, Default)]
struct Line(Arc<Notify>);

/// The certificate that a client showed.
#[derive(Clone)]
struct Peer(Option<Certificate>);

impl TestCa {
    /// A CA on a free port.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap()).parse().unwrap();
        let authority = Authority::new();
        let fingerprint = RootFingerprint::of(authority.root().der());
        let tls = tls(&authority);
        let inner = Arc::new(Inner {
            authority,
            issued: Mutex::default(),
            used: Mutex::default(),
            revoked: Mutex::default(),
            provisioners: Mutex::default(),
            encrypted_keys: Mutex::default(),
            instead: Mutex::default(),
            requests: Mutex::default(),
        });
        let router = router(&inner);
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || serve(listener, tls, &router, stopped));
        Self { url, fingerprint, inner, stop: Some(stop), thread: Some(thread) }
    }

    /// What a deployment of the broker says of it.
    pub fn json(&self) -> String {
        let provisioner = json!({ "type": "JWK", "name": "countersign" });
        json!({ "url": self.url, "fingerprint": self.fingerprint, "provisioner": provisioner }).to_string()
    }

    pub fn root(&self) -> Certificate {
        self.inner.authority.root()
    }

    pub fn intermediate(&self) -> Certificate {
        self.inner.authority.intermediate()
    }

    /// A certificate for a request in PEM, without a token.
    pub fn issue(&self, csr: &str, names: &[&str]) -> Certificate {
        self.inner.issue(csr, names.iter().map(|name| (*name).to_owned()).collect())
    }

    /// The answer that a signature is.
    pub fn signed(&self, certificate: &Certificate) -> String {
        self.inner.signed(certificate).to_string()
    }

    /// A token, unsigned, for the request of a subject with these names.
    pub fn token(&self, subject: &str, sans: &[&str], jti: &str) -> String {
        let claims = json!({
            "aud": format!("{}/1.0/sign", self.url), "sha": self.fingerprint, "sub": subject,
            "sans": if sans.is_empty() { vec![subject] } else { sans.to_vec() }, "jti": jti,
        });
        let [header, claims] = [json!({}), claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string()));
        format!("{header}.{claims}.c2ln")
    }

    /// From now on a route is answered with this, or by itself again.
    pub fn answer(&self, path: &str, instead: impl Into<Option<Instead>>) {
        let mut all = self.inner.instead.lock().unwrap();
        match instead.into() {
            Some(instead) => drop(all.insert(path.to_owned(), instead)),
            None => drop(all.remove(path)),
        }
    }

    /// What it lists.
    pub fn provide(&self, provisioners: impl IntoIterator<Item = Value>) {
        *self.inner.provisioners.lock().unwrap() = provisioners.into_iter().collect();
    }

    /// An encrypted key that it gives out.
    pub fn give_out(&self, kid: &str, key: &str) {
        self.inner.encrypted_keys.lock().unwrap().insert(kid.to_owned(), key.to_owned());
    }

    /// The bodies that came to a route.
    pub fn requests(&self, path: &str) -> Vec<Value> {
        let all = self.inner.requests.lock().unwrap();
        all.iter().filter(|(found, _)| found == path).map(|(_, body)| body.clone()).collect()
    }
}

impl Drop for TestCa {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(Err(panicked)) = self.thread.take().map(JoinHandle::join) {
            assert!(thread::panicking(), "the CA panicked: {panicked:?}");
        }
    }
}

fn tls(authority: &Authority) -> ServerConfig {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let der = |certificate: &Certificate| CertificateDer::from(certificate.der().to_vec());
    let mut roots = RootCertStore::empty();
    roots.add(der(&authority.root())).unwrap();
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let clients = clients.allow_unauthenticated().build().unwrap();
    let key = PrivateKeyDer::from_pem_slice(authority.server_key().as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let chain = vec![der(&authority.server()), der(&authority.intermediate())];
    config.with_client_cert_verifier(clients).with_single_cert(chain, key).unwrap()
}

fn serve(listener: TcpListener, tls: ServerConfig, router: &Router, mut stopped: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        loop {
            let (stream, _) = tokio::select! {
                accepted = listener.accept() => accepted.unwrap(),
                _ = &mut stopped => return,
            };
            let (acceptor, router) = (acceptor.clone(), router.clone());
            tokio::spawn(async move {
                // Who does not like the certificate hangs up.
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
                let peer = Peer(shown.map(|leaf| Certificate::from_der(leaf).unwrap()));
                let line = Line::default();
                let service = TowerToHyperService::new(router.layer(Extension(peer)).layer(Extension(line.clone())));
                tokio::select! {
                    _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service) => {}
                    () = line.0.notified() => {}
                }
            });
        }
    });
}

fn router(inner: &Arc<Inner>) -> Router {
    Router::new()
        .route("/root/{sha}", get(root))
        .route("/1.0/sign", post(sign))
        .route("/1.0/renew", post(renew))
        .route("/1.0/revoke", post(revoke))
        .route("/provisioners", get(provisioners))
        .route("/provisioners/{kid}/encrypted-key", get(encrypted_key))
        .layer(from_fn_with_state(Arc::clone(inner), pass))
        .with_state(Arc::clone(inner))
}

/// Takes note of a request, and answers in the route's place where it is told to.
async fn pass(State(inner): State<Arc<Inner>>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    inner.requests.lock().unwrap().push((path.clone(), serde_json::from_slice(&body).unwrap_or_default()));
    let request = Request::from_parts(parts, Body::from(body));
    let instead = inner.instead.lock().unwrap().get(&path).cloned();
    match instead {
        None => next.run(request).await,
        Some(Instead::Answer(status, body)) => respond(status, body),
        Some(Instead::Bytes(length)) => respond(200, "x".repeat(length)),
        Some(Instead::Redirect(url)) => {
            let redirect = Response::builder().status(307).header(header::LOCATION, url);
            redirect.body(Body::empty()).unwrap()
        }
        Some(Instead::Late(time)) => {
            tokio::time::sleep(time).await;
            next.run(request).await
        }
        Some(Instead::Lost) => {
            let line = request.extensions().get::<Line>().unwrap().clone();
            next.run(request).await;
            line.0.notify_one();
            pending().await
        }
    }
}

fn respond(status: u16, body: impl Into<Body>) -> Response {
    Response::builder().status(status).header(header::CONTENT_TYPE, "application/json").body(body.into()).unwrap()
}

fn refuse(status: StatusCode, message: &str) -> Response {
    respond(status.as_u16(), json!({ "status": status.as_u16(), "message": message }).to_string())
}

impl Inner {
    fn issue(&self, csr: &str, names: Vec<String>) -> Certificate {
        let certificate = self.authority.issue(csr, &names);
        let key = certificate.public_key().unwrap().to_pem();
        self.issued.lock().unwrap().insert(key, (csr.to_owned(), names));
        certificate
    }

    fn signed(&self, certificate: &Certificate) -> Value {
        let [leaf, above] = [certificate.to_pem(), self.authority.intermediate().to_pem()];
        json!({ "crt": leaf, "ca": above, "certChain": [leaf, above], "tlsOptions": {} })
    }
}

async fn root(State(inner): State<Arc<Inner>>, Path(sha): Path<String>) -> Response {
    let root = inner.authority.root();
    if sha == RootFingerprint::of(root.der()).to_string() {
        respond(200, json!({ "ca": root.to_pem() }).to_string())
    } else {
        refuse(StatusCode::NOT_FOUND, "The requested resource could not be found.")
    }
}

/// What a token says, the first time.
fn spend(inner: &Inner, body: &Value) -> Option<Value> {
    let claims = body["ott"].as_str()?.split('.').nth(1)?;
    let claims: Value = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    let jti = claims["jti"].as_str()?.to_owned();
    inner.used.lock().unwrap().insert(jti).then_some(claims)
}

async fn sign(State(inner): State<Arc<Inner>>, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap();
    let Some(claims) = spend(&inner, &body) else { return refuse(StatusCode::UNAUTHORIZED, "unauthorized") };
    let names: Vec<String> =
        claims["sans"].as_array().unwrap().iter().map(|san| named(san.as_str().unwrap())).collect();
    let certificate = inner.issue(body["csr"].as_str().unwrap(), names);
    if certificate.common_name() != claims["sub"].as_str() {
        return refuse(StatusCode::FORBIDDEN, "certificate request does not contain the valid common name");
    }
    respond(201, inner.signed(&certificate).to_string())
}

/// As OpenSSL writes it.
fn named(san: &str) -> String {
    match san.parse() {
        Ok(AltName::Ip(address)) => format!("IP:{address}"),
        Ok(AltName::Email(text)) => format!("email:{text}"),
        Ok(AltName::Uri(text)) => format!("URI:{text}"),
        Ok(AltName::Dns(_)) | Err(_) => format!("DNS:{san}"),
    }
}

async fn renew(State(inner): State<Arc<Inner>>, Extension(Peer(peer)): Extension<Peer>) -> Response {
    let Some(peer) = peer else { return refuse(StatusCode::BAD_REQUEST, "missing client certificate") };
    if inner.revoked.lock().unwrap().contains(&peer.serial_decimal()) {
        return refuse(StatusCode::UNAUTHORIZED, "certificate has been revoked");
    }
    let (csr, names) = inner.issued.lock().unwrap()[&peer.public_key().unwrap().to_pem()].clone();
    respond(201, inner.signed(&inner.authority.issue(&csr, &names)).to_string())
}

async fn revoke(State(inner): State<Arc<Inner>>, Extension(Peer(peer)): Extension<Peer>, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap();
    let serial = body["serial"].as_str().unwrap().to_owned();
    if body["passive"] != true {
        return refuse(StatusCode::NOT_IMPLEMENTED, "non-passive revocation not implemented");
    }
    let is_allowed = match &peer {
        Some(peer) => peer.serial_decimal() == serial,
        None => spend(&inner, &body).is_some_and(|claims| claims["sub"] == *serial),
    };
    if !is_allowed {
        return refuse(StatusCode::UNAUTHORIZED, "unauthorized");
    }
    if inner.revoked.lock().unwrap().insert(serial.clone()) {
        respond(200, json!({ "status": "ok" }).to_string())
    } else {
        refuse(StatusCode::BAD_REQUEST, &format!("certificate with serial number '{serial}' is already revoked."))
    }
}

async fn provisioners(State(inner): State<Arc<Inner>>, Query(query): Query<BTreeMap<String, String>>) -> Response {
    let all = inner.provisioners.lock().unwrap().clone();
    // step-ca: 20 of them, and 100 at most.
    let limit = query.get("limit").map_or(20, |limit| limit.parse().unwrap()).min(100);
    let from: usize = query.get("cursor").map_or(0, |cursor| cursor.parse().unwrap());
    let until = all.len().min(from + limit);
    let next = if until < all.len() { until.to_string() } else { String::new() };
    respond(200, json!({ "provisioners": all[from..until], "nextCursor": next }).to_string())
}

async fn encrypted_key(State(inner): State<Arc<Inner>>, Path(kid): Path<String>) -> Response {
    match inner.encrypted_keys.lock().unwrap().get(&kid) {
        Some(key) => respond(200, json!({ "key": key }).to_string()),
        None => refuse(StatusCode::NOT_FOUND, "encrypted key was not found"),
    }
}
