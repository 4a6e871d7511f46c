//! The client as what refreshes items has it, against a broker whose generation, moods and lies are the test's to choose.

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderName, Method, StatusCode, Uri},
    response::{IntoResponse as _, Response},
    routing::any,
};
use http::GetError;
use ports::{Clock as _, Fault, SystemClock};
use protocol::{
    Answer, ClientError, Denial, DenialCode, Expected, Grant, Manifest, Pool, PoolEntry, SealedRequest, SecretGrant,
    SecretValue, ServerKey, SystemRandom, VerifiedExchange, Want,
};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::{
    Client, Error, Material, MaterialDir, Origin,
    refresh::{Exchange, Failure},
};

/// An answer in place of the broker's: status, headers, body.
type Scripted = (u16, Vec<(HeaderName, String)>, String);

struct Broker {
    key: ServerKey,
    url: String,
    state: Mutex<BrokerState>,
}

#[derive(Default)]
struct BrokerState {
    /// The pool that is accepted, and the manifest that is told.
    current: Option<(Pool, Manifest)>,
    script: Vec<Scripted>,
    paths: Vec<String>,
    gives_too_little: bool,
}

/// A broker, the origin that its rotations are published at, and this machine's material.
struct World {
    broker: Arc<Broker>,
    origin: TempDir,
    folder: TempDir,
}

impl World {
    /// A broker at its first generation, which the origin and this machine have.
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let pem = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/server-key.pem");
        let key = ServerKey::from_pem(&fs::read_to_string(pem).unwrap()).unwrap();
        let broker = Arc::new(Broker { key, url, state: Mutex::default() });
        let router = Router::new().fallback(any(answer)).with_state(Arc::clone(&broker));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let world = Self { broker, origin: TempDir::new().unwrap(), folder: TempDir::new().unwrap() };
        world.rotate();
        world.publish(world.origin.path());
        world.publish(world.folder.path());
        world
    }

    /// A new generation, which takes the place of the one before at once.
    fn rotate(&self) {
        let mut state = self.broker.state.lock().unwrap();
        let pool = Pool::new(Pool::generate(&SystemRandom).expose()[..128 * 1024].to_vec()).unwrap();
        let (group, key) = ("web".parse().unwrap(), self.broker.key.public().clone());
        let entry = PoolEntry::of(&group, &pool);
        let manifest = match &state.current {
            None => Manifest::first(group, "audience".into(), self.broker.url.clone(), key, entry),
            Some((_, manifest)) => manifest.next("audience".into(), self.broker.url.clone(), key, entry, 0),
        };
        state.current = Some((pool, manifest));
    }

    /// Puts the current generation there.
    fn publish(&self, folder: &Path) {
        let state = self.broker.state.lock().unwrap();
        let (pool, manifest) = state.current.as_ref().unwrap();
        let pool = Pool::new(pool.expose().to_vec()).unwrap();
        MaterialDir::new(folder).save(&Material { manifest: manifest.clone(), pool }).unwrap();
    }

    fn client(&self) -> Client {
        self.client_without_origin().pull_from(Some(Origin::Folder(self.origin.path().into())))
    }

    fn client_without_origin(&self) -> Client {
        Client::new(MaterialDir::new(self.folder.path()), "web".parse().unwrap())
    }

    fn script(&self, answers: impl IntoIterator<Item = Scripted>) {
        self.broker.state.lock().unwrap().script = answers.into_iter().collect();
    }

    fn requests(&self) -> usize {
        self.broker.state.lock().unwrap().paths.len()
    }

    fn generation(&self) -> u64 {
        MaterialDir::new(self.folder.path()).manifest(&"web".parse().unwrap()).unwrap().generation
    }
}

fn status(status: u16) -> Scripted {
    (status, Vec::new(), "{}".into())
}

fn with(status: u16, header: &'static str, value: &str) -> Scripted {
    (status, vec![(HeaderName::from_static(header), value.into())], "{}".into())
}

async fn answer(State(broker): State<Arc<Broker>>, method: Method, uri: Uri, body: Bytes) -> Response {
    let mut state = broker.state.lock().unwrap();
    state.paths.push(uri.path().to_owned());
    if !state.script.is_empty() {
        let (status, headers, body) = state.script.remove(0);
        let mut response = (StatusCode::from_u16(status).unwrap(), body).into_response();
        for (name, value) in headers {
            response.headers_mut().insert(name, value.parse().unwrap());
        }
        return response;
    }
    let (pool, manifest) = state.current.as_ref().unwrap();
    if (method.as_str(), uri.path()) == ("GET", "/v2/manifest/web") {
        return manifest.to_json().into_response();
    }
    assert_eq!((method.as_str(), uri.path()), ("POST", "/v2/exchange"));
    let opened = SealedRequest::parse(&body).and_then(|sealed| sealed.open(&broker.key));
    let opened = opened.ok().filter(|opened| opened.claimed_pool() == pool.id());
    let expected = Expected { audience: "audience", now: SystemClock.unix_seconds() };
    let Some(verified) = opened.and_then(|opened| opened.verify(pool, expected).ok()) else {
        return (StatusCode::UNAUTHORIZED, "{}").into_response();
    };
    let taken = verified.wants().len() - usize::from(state.gives_too_little);
    give(&verified, &verified.wants()[..taken])
}

/// Each secret's value is its name; `secret/no` is denied.
fn give(verified: &VerifiedExchange, wants: &[Want]) -> Response {
    let mut granted = Vec::new();
    for (want, wanted) in wants.iter().enumerate() {
        let Want::Secret { id, .. } = wanted else { panic!("not a secret") };
        if id == "secret/no" {
            let detail = verified.seal_denial(Denial { code: DenialCode::Denied, want }, &SystemRandom);
            return (StatusCode::FORBIDDEN, format!(r#"{{"detail":"{detail}"}}"#)).into_response();
        }
        granted.push(Grant::Secret(SecretGrant {
            id: id.clone(),
            version_id: "version".into(),
            version_stages: vec!["AWSCURRENT".into()],
            value: SecretValue::Text(protocol::Secret::new(id.clone())),
        }));
    }
    verified.seal(&Answer { granted, expires_at: None }, &SystemRandom).into_response()
}

fn secret(id: &str) -> Want {
    Want::Secret { id: id.into(), version_id: None, version_stage: None }
}

async fn once(client: &Client, ids: &[&str]) -> Result<Vec<String>, Failure> {
    let wants: Vec<Want> = ids.iter().map(|id| secret(id)).collect();
    let answer = Exchange::exchange(client, &wants).await?;
    let text = |grant: &Grant| match grant {
        Grant::Secret(secret) => String::from_utf8(secret.value.expose().to_vec()).unwrap(),
        Grant::Aws(_) | Grant::AccessToken(_) | Grant::EnrollmentToken(_) => panic!("not a secret"),
    };
    Ok(answer.granted.iter().map(text).collect())
}

#[tokio::test]
async fn material_that_another_process_replaced_is_used_at_the_next_exchange() {
    let world = World::new().await;
    let client = world.client_without_origin();
    assert_eq!(once(&client, &["a", "b"]).await.unwrap(), ["a", "b"]);
    world.rotate();
    let refused = once(&client, &["a"]).await;
    assert!(matches!(refused, Err(Failure::ForGood(Error::Refused { .. }))), "{refused:?}");
    world.publish(world.folder.path());
    assert_eq!(once(&client, &["a"]).await.unwrap(), ["a"]);
    assert_eq!(client.pulls(), 0);
}

#[tokio::test]
async fn where_a_generation_has_ended_the_client_pulls_and_no_exchange_fails() {
    let world = World::new().await;
    let client = world.client();
    world.rotate();
    world.publish(world.origin.path());
    assert_eq!(once(&client, &["a"]).await.unwrap(), ["a"]);
    assert_eq!((client.pulls(), world.requests(), world.generation()), (1, 2, 2));
    assert_eq!(once(&client, &["a"]).await.unwrap(), ["a"]);
    assert_eq!((client.pulls(), world.requests()), (1, 3));
}

#[tokio::test]
async fn where_the_origin_lags_behind_the_refusal_is_told_after_one_look() {
    let world = World::new().await;
    let client = world.client();
    world.rotate();
    let refused = once(&client, &["a"]).await;
    assert!(matches!(refused, Err(Failure::ForGood(Error::Refused { .. }))), "{refused:?}");
    assert_eq!((client.pulls(), world.requests()), (0, 2));
}

#[tokio::test]
async fn a_want_that_is_denied_or_cannot_be_sent_is_named() {
    let world = World::new().await;
    let client = world.client();
    let denied = once(&client, &["a", "secret/no", "b"]).await;
    assert!(matches!(denied, Err(Failure::OfWant { want: 1, error: Error::Denied { .. } })), "{denied:?}");
    let malformed = once(&client, &["a", "b", "arn:aws:secretsmanager"]).await;
    assert!(
        matches!(malformed, Err(Failure::OfWant { want: 2, error: Error::Protocol(ClientError::MalformedWant) })),
        "{malformed:?}"
    );
    assert_eq!(world.requests(), 1);
}

#[tokio::test]
async fn each_failure_is_told_after_one_try() {
    let world = World::new().await;
    let client = world.client();
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    for (planned, throttles, waits) in [
        (status(429), true, None),
        (with(429, "retry-after", "7"), true, seconds(7)),
        (status(502), false, None),
        (with(503, "retry-after", "1"), false, seconds(1)),
    ] {
        let code = planned.0;
        world.script([planned]);
        match once(&client, &["a"]).await {
            Err(Failure::Throttled { retry_after, .. }) => {
                assert_eq!((throttles, waits), (true, retry_after), "{code}");
            }
            Err(Failure::Unavailable { retry_after, .. }) => {
                assert_eq!((throttles, waits), (false, retry_after), "{code}");
            }
            other => panic!("{code}: {other:?}"),
        }
    }
    let garbage = (200, Vec::new(), "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..AAAA.AAAA.AAAA".into());
    for planned in [with(302, "location", "http://192.0.2.1/"), status(404), status(403), garbage] {
        let code = planned.0;
        world.script([planned]);
        let ended = once(&client, &["a"]).await;
        assert!(matches!(ended, Err(Failure::ForGood(_))), "{code}: {ended:?}");
    }
    assert_eq!(world.requests(), 8);
    let away = world.client().url(Some("http://127.0.0.1:1".into()));
    let unreachable = once(&away, &["a"]).await;
    assert!(
        matches!(unreachable, Err(Failure::Unavailable { error: Error::Unreachable { .. }, .. })),
        "{unreachable:?}"
    );
}

#[tokio::test]
async fn an_answer_with_too_little_is_none() {
    let world = World::new().await;
    world.broker.state.lock().unwrap().gives_too_little = true;
    let ended = once(&world.client(), &["a", "b"]).await;
    assert!(matches!(ended, Err(Failure::ForGood(Error::Protocol(ClientError::MalformedAnswer)))), "{ended:?}");
}

#[test]
fn an_origin_that_is_away_may_be_back_and_one_that_says_no_says_so_again() {
    let pull = |source| Failure::from(Error::Pull { what: "it".into(), source });
    for (source, passes) in [
        (Box::<dyn std::error::Error + Send + Sync>::from(GetError::Status(503)), true),
        (GetError::Status(404).into(), false),
        (Fault::Unavailable("away".into()).into(), true),
        (Fault::Forbidden("no".into()).into(), false),
        ("not this group's manifest".into(), false),
    ] {
        let name = source.to_string();
        assert_eq!(matches!(pull(source), Failure::Unavailable { .. }), passes, "{name}");
    }
}

#[tokio::test]
async fn a_newer_generation_is_pulled_and_the_same_is_not() {
    let world = World::new().await;
    let client = world.client();
    assert!(!client.follow_rotation().await.unwrap());
    world.rotate();
    world.publish(world.origin.path());
    assert!(client.follow_rotation().await.unwrap());
    assert_eq!((world.generation(), client.pulls()), (2, 1));
    assert!(!client.follow_rotation().await.unwrap());
    assert_eq!(client.pulls(), 1);
    assert_eq!(once(&client, &["a"]).await.unwrap(), ["a"]);
}

#[tokio::test]
async fn an_origin_that_lags_behind_or_a_broker_that_does_changes_nothing() {
    let world = World::new().await;
    let client = world.client();
    world.rotate();
    assert!(!client.follow_rotation().await.unwrap(), "the origin has the first generation still");
    world.publish(world.folder.path());
    world.rotate();
    assert!(!client.follow_rotation().await.unwrap(), "what another process put here is newer than the origin's");
    assert_eq!((world.generation(), client.pulls()), (2, 0));
    world.broker.state.lock().unwrap().current.as_mut().unwrap().1.generation = 1;
    assert!(!client.follow_rotation().await.unwrap());
    assert_eq!((world.generation(), client.pulls()), (2, 0));
}

#[tokio::test]
async fn without_an_origin_nobody_is_asked_for_a_generation() {
    let world = World::new().await;
    assert!(!world.client_without_origin().follow_rotation().await.unwrap());
    assert_eq!(world.requests(), 0);
}

#[tokio::test]
async fn whoever_answers_for_the_broker_can_cause_a_pull_and_nothing_else() {
    let world = World::new().await;
    let client = world.client();
    let mut lie = world.broker.state.lock().unwrap().current.as_ref().unwrap().1.clone();
    (lie.generation, lie.url) = (u64::MAX, "http://192.0.2.1".into());
    let before = fs::read(world.folder.path().join("groups/web/manifest.json")).unwrap();
    let lie = String::from_utf8(lie.to_json()).unwrap();
    let another_groups = lie.replace("\"web\"", "\"batch\"").replace("groups/web", "groups/batch");
    for (name, planned, pulls) in [
        ("a redirect", with(302, "location", "http://192.0.2.1/"), false),
        ("not a manifest", (200, Vec::new(), "<html>".into()), false),
        ("another group's", (200, Vec::new(), another_groups), false),
        ("too large", (200, Vec::new(), " ".repeat(17 * 1024)), false),
        ("not the route", status(404), false),
        ("a lie", (200, Vec::new(), lie), true),
    ] {
        world.script([planned]);
        let ended = client.follow_rotation().await;
        assert_eq!(matches!(ended, Ok(false)), pulls, "{name}: {ended:?}");
        assert!(ended.is_err() || pulls, "{name}");
        assert_eq!(fs::read(world.folder.path().join("groups/web/manifest.json")).unwrap(), before, "{name}");
    }
    assert_eq!((world.requests(), client.pulls()), (6, 0), "each was asked once, and nothing was stored");
    assert_eq!(once(&client, &["a"]).await.unwrap(), ["a"]);
}

#[tokio::test]
async fn a_command_waits_as_long_as_the_broker_asks_where_there_is_time_and_else_ends_at_once() {
    let world = World::new().await;
    let client = world.client().timeout(Duration::from_secs(10));
    let began = Instant::now();
    let dates = vec![
        (HeaderName::from_static("date"), "Sun, 06 Nov 1994 08:49:37 GMT".to_owned()),
        (HeaderName::from_static("retry-after"), "Sun, 06 Nov 1994 08:49:38 GMT".to_owned()),
    ];
    world.script([(429, dates, "{}".into())]);
    client.exchange(&[secret("a")]).await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(1));
    let began = Instant::now();
    for asked in ["10", "86400"] {
        world.script([with(503, "retry-after", asked)]);
        let ended = client.exchange(&[secret("a")]).await.unwrap_err();
        assert_eq!(ended.exit_code(), 7);
        assert!(matches!(ended, Error::AskedToWait { seconds } if seconds.to_string() == asked), "{ended:?}");
    }
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(world.requests(), 4);
}

/// An origin by http, and the paths that were asked for.
async fn by_http(world: &World) -> (Client, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (folder, asked) = (world.origin.path().to_owned(), Arc::<Mutex<Vec<String>>>::default());
    let told = Arc::clone(&asked);
    let router = Router::new().fallback(move |uri: Uri| async move {
        let path = uri.path().trim_start_matches('/').to_owned();
        told.lock().unwrap().push(path.split('/').nth(2).unwrap().to_owned());
        fs::read(folder.join(path)).map_err(|_| StatusCode::NOT_FOUND)
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    (world.client().pull_from(Some(url.parse().unwrap())), asked)
}

async fn is_refused(client: &Client) -> bool {
    matches!(once(client, &["a"]).await, Err(Failure::ForGood(Error::Refused { .. })))
}

#[tokio::test]
async fn whoever_always_refuses_costs_manifests_and_no_pools() {
    let world = World::new().await;
    let (client, asked) = by_http(&world).await;
    world.script(std::iter::repeat_n(status(401), 20));
    for _ in 0..3 {
        assert!(is_refused(&client).await);
    }
    assert_eq!(*asked.lock().unwrap(), ["manifest.json"; 3]);
    asked.lock().unwrap().clear();
    // A pool that is damaged is fetched once.
    let pools = fs::read_dir(world.folder.path().join("groups/web/pools")).unwrap();
    for pool in pools {
        let path = pool.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        bytes[0] ^= 1;
        fs::write(&path, bytes).unwrap();
    }
    for _ in 0..2 {
        assert!(is_refused(&client).await);
    }
    assert_eq!((&**asked.lock().unwrap(), client.pulls()), (&["manifest.json".into(), "pools".into()][..], 1));
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(60)).await;
    tokio::time::resume();
    assert!(is_refused(&client).await);
    assert_eq!(asked.lock().unwrap().len(), 3, "after a minute it looks again");
}

#[tokio::test]
async fn an_older_generation_is_stored_where_it_is_another_deployments_or_somebody_says_so() {
    let world = World::new().await;
    let client = world.client();
    world.rotate();
    world.publish(world.folder.path());
    world.script([status(401), status(401)]);
    assert!(is_refused(&client).await);
    assert_eq!((world.generation(), client.pulls()), (2, 0));
    client.pull().await.unwrap();
    assert_eq!(world.generation(), 1);
    world.publish(world.folder.path());
    let path = world.origin.path().join("groups/web/manifest.json");
    let theirs = fs::read_to_string(&path).unwrap().replace("\"audience\": \"audience\"", "\"audience\": \"another\"");
    fs::write(&path, theirs).unwrap();
    world.script([status(401), status(401)]);
    assert!(is_refused(&client).await);
    assert_eq!((world.generation(), client.pulls()), (1, 2));
}
