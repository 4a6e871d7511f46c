//! What tests of the endpoint hold and ask.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    http::request,
    response::Response,
};
use ports::Clock;
use protocol::{AwsCredentials, Grant, Secret, SecretGrant, SecretValue};
use tower::ServiceExt as _;

use crate::{
    config::{Item, Member, Source},
    endpoint::{
        freshness::Freshness,
        guard::{ArrivedAt, Guard},
        hosts::Hosts,
        metrics::{Asked, Metrics},
        route::SECRETS_TOKEN,
        routes::{Served, router},
        unwritten::Unwritten,
    },
    refresh::{Holdings, ItemValue},
};

pub(super) const NOW: u64 = 1_800_000_000;
pub(super) const HOUR: u64 = 3600;
pub(super) const ADDRESS: &str = "127.0.0.1:2773";
pub(super) const TOKEN: &str = "dG9rZW4tb2YtdGhlLXRlc3RzLWFuZC1ub2JvZHkncw";
pub(super) const VERSION: &str = "0f5d3a3e-2f0b-4d5e-9a80-6a1b0e8f7c11";
pub(super) const OLD_VERSION: &str = "7c2f0b4d-1111-4d5e-9a80-6a1b0e8f7c11";
pub(super) const ACCESS_KEY: &str = "wJalrXUtnFEMI-of-the-tests";

/// A clock that tests set.
#[derive(Clone)]
pub(super) struct SetClock(pub(super) Arc<AtomicU64>);

impl Clock for SetClock {
    fn now(&self) -> Duration {
        Duration::from_secs(self.0.load(Relaxed))
    }
}

/// `db` is `app/db`; `user` a member of it; `old` its version before; `pinned` a version of `app/pin`; `aws` the role `nightly`.
pub(super) fn items() -> Vec<Item> {
    let secret = |id: &str, version_id: Option<&str>, version_stage: Option<&str>, member| Source::Secret {
        id: id.into(),
        version_id: version_id.map(Into::into),
        version_stage: version_stage.map(Into::into),
        member,
    };
    [
        ("db", secret("app/db", None, None, None)),
        ("user", secret("app/user", None, None, Some(Member::new("name")))),
        ("old", secret("app/db", None, Some("AWSPREVIOUS"), None)),
        ("pinned", secret("app/pin", Some(OLD_VERSION), None, None)),
        ("aws", Source::Role { alias: "nightly".into(), seconds: None }),
    ]
    .map(|(name, source)| Item {
        name: name.parse().unwrap(),
        source,
        variable: None,
        file: None,
        stdin: false,
        keep: Duration::from_secs(24 * HOUR),
        on_change: true,
    })
    .into()
}

pub(super) fn text(id: &str, version: &str, stage: &str, text: &str) -> Grant {
    Grant::Secret(SecretGrant {
        id: id.into(),
        version_id: version.into(),
        version_stages: vec![stage.into()],
        value: SecretValue::Text(Secret::new(text.into())),
    })
}

pub(super) fn role(expires_at: u64) -> Grant {
    Grant::Aws(AwsCredentials {
        role: "nightly".into(),
        access_key_id: "ASIAEXAMPLE".into(),
        secret_access_key: Secret::new(ACCESS_KEY.into()),
        session_token: Secret::new("session-of-the-tests".into()),
        expires_at,
    })
}

pub(super) fn put(holdings: &Holdings, name: &str, grant: Grant, use_by: u64) {
    let item = holdings.items().iter().find(|item| item.name.as_str() == name).unwrap();
    let value = ItemValue::new(&item.source, Arc::new(grant)).unwrap();
    let now = holdings.now();
    holdings.update(&item.name, |state| {
        state.value = Some(Arc::new(value));
        state.obtained_at = Some(now);
        state.use_by = Some(use_by);
    });
}

/// All items, for an hour from [`NOW`].
pub(super) fn holdings() -> (Holdings, SetClock) {
    let clock = SetClock(Arc::new(AtomicU64::new(NOW)));
    let holdings = Holdings::new(items(), Arc::new(clock.clone()));
    put(&holdings, "db", text("app/db", VERSION, "AWSCURRENT", "pa\"ss"), NOW + HOUR);
    put(&holdings, "user", text("app/user", VERSION, "AWSCURRENT", r#"{"name":"ann"}"#), NOW + HOUR);
    put(&holdings, "old", text("app/db", OLD_VERSION, "AWSPREVIOUS", "older"), NOW + HOUR);
    let pinned = Grant::Secret(SecretGrant {
        id: "app/pin".into(),
        version_id: OLD_VERSION.into(),
        version_stages: vec![],
        value: SecretValue::Binary(Secret::new(vec![0, 255, 62])),
    });
    put(&holdings, "pinned", pinned, NOW + HOUR);
    put(&holdings, "aws", role(NOW + HOUR), NOW + HOUR);
    (holdings, clock)
}

pub(super) fn routes(holdings: &Holdings) -> Router {
    routes_that_ask(holdings, Freshness::new(|_| Box::pin(async {})))
}

pub(super) fn routes_that_ask(holdings: &Holdings, freshness: Freshness) -> Router {
    let asked = || Asked { given: 3, failed: 2, throttled: 1, pulls: 4 };
    let metrics = Arc::new(Metrics::new(holdings.clone(), asked));
    let hosts = Hosts::new(vec!["agent.internal".into()]);
    let guard = Guard::new(hosts, Secret::new(TOKEN.into()), Arc::clone(&metrics));
    let unwritten = Unwritten::default();
    router(Served { holdings: holdings.clone(), unwritten, was_ready: false.into(), freshness, metrics }, guard)
}

/// A request as a client on this machine sends it, without a token.
pub(super) fn request(target: &str) -> request::Builder {
    Request::builder().uri(target).header("host", ADDRESS).extension(ArrivedAt(ADDRESS.parse().unwrap()))
}

pub(super) fn of_role(target: &str) -> request::Builder {
    request(target).header("authorization", TOKEN)
}

pub(super) fn of_secret(target: &str) -> request::Builder {
    request(target).header(SECRETS_TOKEN, TOKEN)
}

pub(super) async fn send(router: &Router, request: request::Builder) -> Response {
    router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

/// The status and the body of an answer.
pub(super) async fn ask(router: &Router, request: request::Builder) -> (u16, String) {
    let response = send(router, request).await;
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}
