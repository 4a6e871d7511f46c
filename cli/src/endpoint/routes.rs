use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use axum::{
    Router,
    extract::{Path, RawQuery, State, rejection::PathRejection},
    http::StatusCode,
    middleware::from_fn_with_state,
    response::{IntoResponse as _, Response},
    routing::get,
};
use protocol::Secret;
use serde::Serialize;

use crate::{
    config::Item,
    endpoint::{
        answer::{json, of_type},
        credentials::credentials,
        freshness::Freshness,
        guard::{Guard, guard},
        metrics::{self, Metrics},
        refusal::Refusal,
        secrets::SecretQuery,
        unwritten::Unwritten,
    },
    refresh::Holdings,
};

/// What is served.
pub(crate) struct Served {
    pub(crate) holdings: Holdings,
    pub(crate) unwritten: Unwritten,
    /// Whether it was seen to be ready.
    pub(crate) was_ready: AtomicBool,
    pub(crate) freshness: Freshness,
    pub(crate) metrics: Arc<Metrics>,
}

#[derive(Serialize)]
struct Readiness<'a> {
    ready: bool,
    /// The items that may not be used, or are not in their files.
    missing: Vec<&'a str>,
}

/// Every route, behind the guard.
pub(crate) fn router(served: Served, guarded: Guard) -> Router {
    Router::new()
        .route("/credentials/{alias}", get(role))
        .route("/secretsmanager/get", get(secret))
        .route("/v1/{*id}", get(secret_of_path))
        .route("/health", get(health))
        .route("/ping", get(ping))
        .route("/ready", get(ready))
        .route("/started", get(started))
        .route("/metrics", get(numbers))
        .fallback(nothing)
        .layer(from_fn_with_state(Arc::new(guarded), guard))
        .with_state(Arc::new(served))
}

async fn role(State(served): State<Arc<Served>>, alias: Result<Path<String>, PathRejection>) -> Response {
    let alias = alias.map_err(|_| Refusal::NoRole);
    answer(alias.and_then(|Path(alias)| credentials(&served.holdings, &alias)))
}

async fn secret(State(served): State<Arc<Served>>, RawQuery(query): RawQuery) -> Response {
    answer(find(&served, SecretQuery::parse(&query.unwrap_or_default(), None)).await)
}

async fn secret_of_path(
    State(served): State<Arc<Served>>,
    id: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Response {
    let id = id.map_err(|_| Refusal::NoSecret);
    let query = id.and_then(|Path(id)| SecretQuery::parse(&query.unwrap_or_default(), Some(id)));
    answer(find(&served, query).await)
}

async fn find(served: &Served, query: Result<SecretQuery, Refusal>) -> Result<Secret<Vec<u8>>, Refusal> {
    let (query, holdings) = (query?, &served.holdings);
    let item = query.item(holdings)?;
    if query.refresh_now {
        served.freshness.of(item).await;
    }
    query.answer(holdings)
}

fn answer(found: Result<Secret<Vec<u8>>, Refusal>) -> Response {
    found.map_or_else(Refusal::into_response, |document| json(StatusCode::OK, document))
}

async fn health() -> Response {
    json(StatusCode::OK, Secret::new(br#"{"alive":true}"#.to_vec()))
}

/// What health checks of the AWS Secrets Manager Agent ask.
async fn ping() -> Response {
    of_type(StatusCode::OK, "text/plain", Secret::new(b"healthy".to_vec()))
}

async fn ready(State(served): State<Arc<Served>>) -> Response {
    let readiness = served.readiness();
    readiness.answer(readiness.ready)
}

async fn started(State(served): State<Arc<Served>>) -> Response {
    let readiness = served.readiness();
    readiness.answer(served.was_ready.load(Relaxed))
}

impl Served {
    fn readiness(&self) -> Readiness<'_> {
        let Self { holdings, unwritten, .. } = self;
        let is_missing = |item: &&Item| holdings.value(&item.name).is_none() || unwritten.has(&item.name);
        let missing: Vec<&str> = holdings.items().iter().filter(is_missing).map(|item| item.name.as_str()).collect();
        let ready = missing.is_empty();
        self.was_ready.fetch_or(ready, Relaxed);
        Readiness { ready, missing }
    }
}

impl Readiness<'_> {
    fn answer(&self, good: bool) -> Response {
        let status = if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        json(status, Secret::new(serde_json::to_vec(self).expect("names serialize")))
    }
}

async fn numbers(State(served): State<Arc<Served>>) -> Response {
    let text = served.metrics.text().unwrap_or_default();
    of_type(StatusCode::OK, metrics::CONTENT_TYPE, Secret::new(text.into_bytes()))
}

async fn nothing() -> Response {
    Refusal::NoRoute.into_response()
}
