use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, Method, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use protocol::Secret;
use tokio::time::Instant;

use crate::endpoint::{hosts::Hosts, metrics::Metrics, refusal::Refusal, route::Route, token_file};

/// How often one reason of refusals is logged; counts tell the rest.
const LOGGED_EVERY: Duration = Duration::from_secs(60);

/// What every request passes, whatever it asks for.
pub(crate) struct Guard {
    hosts: Hosts,
    token: Secret<String>,
    metrics: Arc<Metrics>,
    logged: Mutex<BTreeMap<&'static str, Instant>>,
}

/// The address of this machine that a connection came to: an extension of every request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ArrivedAt(pub(crate) SocketAddr);

impl Guard {
    pub(crate) const fn new(hosts: Hosts, token: Secret<String>, metrics: Arc<Metrics>) -> Self {
        Self { hosts, token, metrics, logged: Mutex::new(BTreeMap::new()) }
    }

    /// How it came, then what it is, then the token: who has none learns nothing of what there is.
    fn check(&self, route: Route, request: &Request) -> Result<(), Refusal> {
        let headers = request.headers();
        // A proxy is sent the absolute form of a target (RFC 9112 section 3.2.2).
        if request.uri().authority().is_some() || headers.keys().any(of_a_proxy) {
            return Err(Refusal::Forwarded);
        }
        if headers.keys().any(of_a_browser) {
            return Err(Refusal::FromAPage);
        }
        let arrived_at = request.extensions().get::<ArrivedAt>();
        let host = one(headers, &header::HOST).and_then(|host| str::from_utf8(host).ok());
        if !host.zip(arrived_at).is_some_and(|(host, ArrivedAt(address))| self.hosts.allow(host, *address)) {
            return Err(Refusal::ForeignHost);
        }
        let is_empty = headers.get_all(header::CONTENT_LENGTH).iter().all(|length| length == "0");
        if !is_empty || headers.contains_key(header::TRANSFER_ENCODING) {
            return Err(Refusal::Body);
        }
        if request.method() != Method::GET {
            return Err(Refusal::Method);
        }
        // What is missing is compared as well, with nothing.
        let has_token = |name| token_file::is(&self.token, one(headers, &name).unwrap_or_default());
        if route.token_header().is_none_or(has_token) { Ok(()) } else { Err(Refusal::Token) }
    }

    fn log(&self, route: Route, refusal: Refusal) {
        let now = Instant::now();
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        let reason = refusal.message();
        if logged.get(reason).is_none_or(|last| now.duration_since(*last) >= LOGGED_EVERY) {
            logged.insert(reason, now);
            tracing::warn!(route = route.label(), reason, "the endpoint refused a request");
        }
    }
}

/// Lets pass what may, and counts everything.
pub(crate) async fn guard(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let route = Route::of(request.uri().path());
    let response = match guard.check(route, &request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => {
            guard.log(route, refusal);
            refusal.into_response()
        }
    };
    guard.metrics.count(route, response.status());
    tracing::debug!(route = route.label(), status = response.status().as_u16(), "the endpoint answered");
    response
}

/// The value of a header that is there once.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_none() { Some(value.as_bytes()) } else { None }
}

/// Whether who passes a request on adds it: RFC 7239, RFC 9110 section 7.6.3, and what proxies did before.
fn of_a_proxy(name: &HeaderName) -> bool {
    *name == header::FORWARDED
        || *name == header::VIA
        || name.as_str().starts_with("x-forwarded")
        || *name == "x-real-ip"
}

/// Whether a browser adds it, and nobody else (Fetch, section 3.1; Fetch Metadata Request Headers, section 2.2). Not its sibling
/// `Sec-Fetch-Mode`: `fetch` of Node.js sends it.
fn of_a_browser(name: &HeaderName) -> bool {
    *name == header::ORIGIN || *name == "sec-fetch-site"
}
