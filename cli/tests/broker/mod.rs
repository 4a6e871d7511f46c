//! A broker in a test's process: the real functions over memory, with the real clock, on a port of this machine.
#![allow(dead_code, unreachable_pub, clippy::panic, clippy::unwrap_used, reason = "each test file uses its part")]

mod devices;
mod enrollment;
mod outside;
mod roles;

use std::{
    collections::BTreeMap,
    fs,
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use access_token::SigningKey;
use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request, State},
    http::{StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Response},
};
use issuer::PublishedKeys;
use ports::{
    Clock as _, SystemClock,
    memory::{MemoryLedger, MemoryObjects, MemorySecrets},
};
use protocol::{Group, Manifest, Pool, PoolEntry, Secret, SecretValue, ServerKey, SystemRandom};
use tokio::sync::oneshot;
use web::Caller;

pub use devices::Devices;
pub use enrollment::Codes;
pub use roles::Roles;

const KEY_SECRET: &str = "countersign/server-key";
const TOKEN_KEY_SECRET: &str = "countersign/token-key";

/// What is allowed: the group `web` its path of secrets, a role and a token; keys of `ssh-keys/ops.pub` tokens, and the group's
/// and operators' tokens devices. Everybody may enrol all but `root`, and revoke.
const POLICY: &str = r#"
permit (principal == Group::"web", action == Action::"secret:read", resource in Path::"app");
permit (principal == Group::"web", action == Action::"aws:assume", resource == Role::"deploy");
@ttl("15m") @scope("things:read")
permit (principal == Group::"web", action == Action::"token:issue", resource == Subject::"group:web");
@ttl("1h") @scope("things:read things:write")
permit (principal in KeyFile::"ops", action == Action::"token:issue", resource);
permit (principal, action in [Action::"device:provision", Action::"device:read", Action::"device:update",
                              Action::"device:delete"], resource);
permit (principal, action == Action::"certificate:enroll", resource) unless { resource.name == "root" };
permit (principal, action == Action::"certificate:revoke", resource);
"#;

/// The ports of all functions.
pub struct Memory;

impl exchange::Ports for Memory {
    type Objects = MemoryObjects;
    type Secrets = MemorySecrets;
    type Ledger = MemoryLedger;
    type Roles = Roles;
    type Clock = SystemClock;
}

impl token::Ports for Memory {
    type Objects = MemoryObjects;
    type Secrets = MemorySecrets;
    type Ledger = MemoryLedger;
    type Clock = SystemClock;
}

/// A broker, until it is dropped.
///
/// It knows the secrets `app/db` (JSON; its previous version is another), `app/api-key` (text), `app/keystore` (bytes) and
/// `ops/root` (which policy does not allow), and the role `deploy`, whose credentials live as long as `roles` says.
pub struct Broker {
    /// Where it is.
    pub url: String,
    /// Manifests, pools, policies, templates, ssh keys.
    pub objects: MemoryObjects,
    /// What is asked for. `put` makes a new version.
    pub secrets: MemorySecrets,
    /// Role sessions.
    pub roles: Roles,
    /// AWS IoT behind it.
    pub devices: Devices,
    /// Codes that subjects were sent.
    pub codes: Codes,
    door: Arc<Door>,
    manifest: Mutex<Manifest>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What a request passes first.
#[derive(Default)]
struct Door {
    requests: AtomicU64,
    exchanges: AtomicU64,
    answer: Mutex<Option<Answer>>,
}

/// What is answered in a function's place.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// `Retry-After`, in seconds.
    pub retry_after: Option<u64>,
    /// How long it takes.
    pub delay: Duration,
}

impl Answer {
    /// This status, at once.
    pub const fn of(status: u16) -> Self {
        Self { status, retry_after: None, delay: Duration::ZERO }
    }
}

impl Broker {
    /// A log with audit events, of which callers wrote parts: a title for a terminal, a formula; and a line that is cut.
    pub const AUDIT_LOG: &str = outside::AUDIT_LOG;

    /// A broker on a free port.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (objects, secrets, roles) = (MemoryObjects::default(), MemorySecrets::default(), Roles::default());
        let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors");
        let key = fs::read_to_string(vectors.join("server-key.pem")).unwrap();
        let server_key = ServerKey::from_pem(&key).unwrap();
        let pool = Pool::new(fs::read(vectors.join("pool.bin")).unwrap()).unwrap();
        let text = |text: &str| SecretValue::Text(Secret::new(text.to_owned()));
        secrets.put(KEY_SECRET, text(&key));
        secrets.put("app/db", text(r#"{"user":"app","password":"tr0ub4dor"}"#));
        secrets.put("app/db", text(r#"{"user":"app","password":"correct horse"}"#));
        secrets.put("app/api-key", text("battery staple"));
        secrets.put("app/ci/aws", text("AKIAEXAMPLE,example/secret/access/key"));
        secrets.put("app/keystore", SecretValue::Binary(Secret::new(vec![0, 159, 146, 150])));
        secrets.put("ops/root", text("not for web"));
        objects.put("policies/tests.cedar", POLICY);
        let token_key = SigningKey::generate();
        let public = SigningKey::from_pem(token_key.expose()).unwrap().public().clone();
        objects.put(PublishedKeys::OBJECT, PublishedKeys::first(public).to_json());
        secrets.put(TOKEN_KEY_SECRET, SecretValue::Text(token_key));
        let group: Group = "web".parse().unwrap();
        let manifest = Manifest::first(
            group.clone(),
            "countersign".into(),
            url.clone(),
            server_key.public().clone(),
            PoolEntry::of(&group, &pool),
        );
        put_generation(&objects, &manifest, &pool);
        let (devices, codes, door) = (Devices::new(), Codes::default(), Arc::<Door>::default());
        let router = exchange_router(&objects, &secrets, &roles)
            .merge(token_router(&objects, &secrets).merge(devices.router(&objects)))
            .merge(enrollment::router(&objects, &secrets, &codes))
            .merge(outside::router(issuer(&objects, &secrets)))
            .layer(from_fn_with_state(Arc::clone(&door), pass));
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || serve(listener, router, stopped));
        Self {
            url,
            objects,
            secrets,
            roles,
            devices,
            codes,
            door,
            manifest: Mutex::new(manifest),
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// How many requests came, whatever became of them.
    pub fn requests(&self) -> u64 {
        self.door.requests.load(Ordering::Relaxed)
    }

    /// How many of them were exchanges.
    pub fn exchanges(&self) -> u64 {
        self.door.exchanges.load(Ordering::Relaxed)
    }

    /// From now on all requests are answered with this, or by the functions again.
    pub fn answer(&self, answer: impl Into<Option<Answer>>) {
        *self.door.answer.lock().unwrap() = answer.into();
    }

    /// Makes a new version of a secret.
    pub fn put(&self, secret: &str, value: &str) {
        self.secrets.put(secret, SecretValue::Text(Secret::new(value.to_owned())));
    }

    /// Makes a new generation of the group's material. The one before it is accepted for this long.
    pub fn rotate(&self, accepted: Duration) {
        let mut manifest = self.manifest.lock().unwrap();
        let pool = Pool::generate(&SystemRandom);
        let (audience, url, server_key) =
            (manifest.audience.clone(), manifest.url.clone(), manifest.server_key.clone());
        let accept_until = SystemClock.unix_seconds() + accepted.as_secs();
        *manifest = manifest.next(audience, url, server_key, PoolEntry::of(&manifest.group, &pool), accept_until);
        put_generation(&self.objects, &manifest, &pool);
    }

    /// Names the CA whose registration authority it is, by what stands in `step-ca/ca.json`.
    pub fn serve_ca(&self, json: String) {
        self.objects.put("step-ca/ca.json", json);
    }

    /// Writes the group's material as it now is into a folder, in the bucket's layout: what is pulled from, and with its modes also
    /// what was pulled.
    pub fn write_material(&self, folder: &Path) {
        let manifest = self.manifest.lock().unwrap();
        let pool = Pool::new(self.objects.peek(&manifest.pool.key).unwrap()).unwrap();
        let material = countersign::Material { manifest: manifest.clone(), pool };
        countersign::MaterialDir::new(folder).save(&material).unwrap();
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(Err(panicked)) = self.thread.take().map(JoinHandle::join) {
            assert!(thread::panicking(), "the broker panicked: {panicked:?}");
        }
    }
}

fn put_generation(objects: &MemoryObjects, manifest: &Manifest, pool: &Pool) {
    objects.put(&manifest.pool.key, pool.expose());
    objects.put(&Manifest::key(&manifest.group), manifest.to_json());
}

fn serve(listener: TcpListener, router: Router, stopped: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        // Connections that are kept open end with the runtime.
        tokio::select! {
            served = async { axum::serve(listener, service).await } => served.unwrap(),
            _ = stopped => {}
        }
    });
}

/// Counts a request, says who sent it, and answers in the function's place where it is told to.
async fn pass(
    State(door): State<Arc<Door>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    let count = door.requests.fetch_add(1, Ordering::Relaxed) + 1;
    if request.uri().path() == "/v2/exchange" {
        door.exchanges.fetch_add(1, Ordering::Relaxed);
    }
    let answer = *door.answer.lock().unwrap();
    if let Some(Answer { status, retry_after, delay }) = answer {
        tokio::time::sleep(delay).await;
        let mut response = StatusCode::from_u16(status).unwrap().into_response();
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        return response;
    }
    let caller = Caller { source_ip: peer.ip(), request_id: format!("request-{count}") };
    request.extensions_mut().insert(caller);
    next.run(request).await
}

/// What is there beside the routes: the routes of one function alone have a fallback.
fn without_fallback(router: Router) -> Router {
    router.reset_fallback()
}

fn exchange_router(objects: &MemoryObjects, secrets: &MemorySecrets, roles: &Roles) -> Router {
    let deploy = exchange::RoleAlias {
        role_arn: "arn:aws:iam::123456789012:role/deploy".into(),
        max_seconds: 3600,
        bind_source_ip: false,
    };
    let config = exchange::Config {
        audience: "countersign".into(),
        groups: vec!["web".parse().unwrap()],
        v1_group: None,
        v1_refusal_grid: Duration::ZERO,
        secret_arns: "arn:aws:secretsmanager:eu-west-1:123456789012:secret:".into(),
        key_secret: KEY_SECRET.into(),
        tokens: tokens(),
        step: step::RegistrarConfig { secrets: "countersign/step-ca".into(), audit_days: 1 },
        roles: BTreeMap::from([("deploy".into(), deploy)]),
        audit_days: 1,
        deadline: Duration::from_secs(10),
    };
    let adapters = exchange::Adapters::<Memory> {
        objects: objects.clone(),
        secrets: secrets.clone(),
        ledger: MemoryLedger::default(),
        roles: roles.clone(),
        clock: SystemClock,
    };
    exchange::router(Arc::new(exchange::Broker::new(config, adapters)))
}

fn token_router(objects: &MemoryObjects, secrets: &MemorySecrets) -> Router {
    let config = token::Config {
        tokens: tokens(),
        nonce_rate: 10_000,
        host: Some("127.0.0.1".into()),
        deadline: Duration::from_secs(10),
    };
    let adapters = token::Adapters::<Memory> {
        objects: objects.clone(),
        secrets: secrets.clone(),
        ledger: MemoryLedger::default(),
        clock: SystemClock,
    };
    without_fallback(token::router(Arc::new(token::Service::new(config, adapters))))
}

fn tokens() -> issuer::Config {
    issuer::Config {
        issuer: "countersign".into(),
        key_secret: TOKEN_KEY_SECRET.into(),
        token_seconds: 3600,
        max_token_seconds: 86_400,
        audit_days: 1,
    }
}

fn issuer(objects: &MemoryObjects, secrets: &MemorySecrets) -> issuer::Issuer<MemoryObjects, MemorySecrets> {
    issuer::Issuer::new(tokens(), objects.clone(), secrets.clone())
}

/// A JSON answer of this status.
fn json(status: u16, value: &serde_json::Value) -> Response {
    let body = Body::from(value.to_string());
    Response::builder().status(status).header(header::CONTENT_TYPE, "application/json").body(body).unwrap()
}
