use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use axum::{Router, extract::Request};
use hyper::{server::conn::http1, service::Service as _};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use protocol::SystemRandom;
use rustix::io::Errno;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time,
};

use crate::{
    Error,
    config::{EndpointSettings, Source},
    deliver::RuntimeFolder,
    endpoint::{
        EndpointError,
        freshness::Freshness,
        guard::{ArrivedAt, Guard},
        hosts::Hosts,
        metrics::{Asked, Metrics},
        routes::{Served, router},
        token_file::TokenFile,
        unwritten::Unwritten,
    },
    refresh::{Counts, Holdings, Nudge},
};

/// How many connections there may be at once. More wait in the kernel.
const CONNECTIONS: usize = 64;

/// How long a request's head may take to come.
const HEAD_WITHIN: Duration = Duration::from_secs(5);

/// How long a connection may last in all: a client that reads slowly holds a value in memory.
const ALL_WITHIN: Duration = Duration::from_secs(15);

/// How large a request's head may be, in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// How many headers it may have.
const MAX_HEADERS: usize = 64;

/// How long nothing is accepted after the operating system could not: it lacks descriptors or memory.
const PAUSE: Duration = Duration::from_millis(500);

/// Listens, and serves nothing yet.
pub struct Endpoint {
    listeners: Vec<TcpListener>,
    address: SocketAddr,
    allow_remote: bool,
    router: Router,
    token_file: TokenFile,
    holdings: Holdings,
    unwritten: Unwritten,
}

/// Serves until it is dropped; the token's file goes then, too.
#[derive(Debug)]
pub struct Serving {
    /// They end with it.
    _tasks: JoinSet<()>,
    _token_file: TokenFile,
}

impl Endpoint {
    /// Listens on the address of the settings, and writes the token's file. Needs a runtime of tokio's.
    ///
    /// # Errors
    /// [`EndpointError::NotLoopback`], [`EndpointError::Listen`]; [`Error::File`] of the token's.
    pub fn bind(
        settings: &EndpointSettings,
        holdings: Holdings,
        nudge: Nudge,
        counts: Counts,
        runtime: &RuntimeFolder,
    ) -> Result<Self, Error> {
        let freshness = Freshness::new(move |item| {
            let nudge = nudge.clone();
            Box::pin(async move { nudge.and_wait(Some(&item)).await })
        });
        let asked = move || Asked {
            given: counts.given(),
            failed: counts.failed(),
            throttled: counts.throttled(),
            pulls: counts.pulls(),
        };
        Self::listen(settings, &runtime.resolve(&settings.token_file), holdings, freshness, asked)
    }

    pub(super) fn listen(
        settings: &EndpointSettings,
        token_path: &Path,
        holdings: Holdings,
        freshness: Freshness,
        asked: impl Fn() -> Asked + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let EndpointSettings { listen: address, allow_remote, hosts, token_file: _ } = settings;
        if !allow_remote && !address.ip().to_canonical().is_loopback() {
            return Err(EndpointError::NotLoopback(*address).into());
        }
        let listeners = listeners(*address)?;
        let address = listeners.first().and_then(|listener| listener.local_addr().ok()).unwrap_or(*address);
        let token_file = TokenFile::write(token_path.to_owned(), &SystemRandom)?;
        let metrics = Arc::new(Metrics::new(holdings.clone(), asked));
        let guard = Guard::new(Hosts::new(hosts.clone()), token_file.token(), Arc::clone(&metrics));
        let unwritten = Unwritten::default();
        let served = Served {
            holdings: holdings.clone(),
            unwritten: unwritten.clone(),
            was_ready: false.into(),
            freshness,
            metrics,
        };
        let router = router(served, guard);
        Ok(Self { listeners, address, allow_remote: *allow_remote, router, token_file, holdings, unwritten })
    }

    /// The address that it listens on: of the settings, with the port that the system chose where they say 0.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The file of the token, by which SDKs of a child find it.
    #[must_use]
    pub fn token_file(&self) -> &Path {
        self.token_file.path()
    }

    /// Where SDKs of a child find credentials: those of the configuration's role, where it has one and not several.
    #[must_use]
    pub fn credentials_url(&self) -> Option<String> {
        let mut roles = self.holdings.items().iter().filter_map(|item| match &item.source {
            Source::Role { alias, .. } => Some(alias),
            Source::Secret { .. } | Source::AccessToken => None,
        });
        let alias = roles.next()?;
        let url = || format!("http://{}/credentials/{alias}", reached_at(self.address));
        roles.all(|other| other == alias).then(url)
    }

    /// What is not in its files yet. Who writes them says so there, and the agent is not ready until nothing is left.
    #[must_use]
    pub fn unwritten(&self) -> Unwritten {
        self.unwritten.clone()
    }

    /// Begins to serve.
    #[must_use]
    pub fn serve(self) -> Serving {
        let Self { listeners, allow_remote, router, token_file, .. } = self;
        let connections = Arc::new(Semaphore::new(CONNECTIONS));
        let mut tasks = JoinSet::new();
        for listener in listeners {
            tasks.spawn(accept(listener, allow_remote, router.clone(), Arc::clone(&connections)));
        }
        Serving { _tasks: tasks, _token_file: token_file }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Where this machine reaches what listens here.
pub(crate) fn reached_at(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) => if ip.is_unspecified() { Ipv4Addr::LOCALHOST } else { ip }.into(),
        IpAddr::V6(ip) => if ip.is_unspecified() { Ipv6Addr::LOCALHOST } else { ip }.into(),
    };
    SocketAddr::new(ip, address.port())
}

/// Where `localhost` may lead, too, which clients resolve as they please: who listened there would be sent the token.
const fn twin(address: SocketAddr) -> Option<SocketAddr> {
    match address.ip() {
        IpAddr::V4(Ipv4Addr::LOCALHOST) => Some(SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), address.port())),
        IpAddr::V6(Ipv6Addr::LOCALHOST) => Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port())),
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    }
}

/// Listens at the address, and at its twin where this machine has one. A port that the system chooses is at the address alone.
fn listeners(address: SocketAddr) -> Result<Vec<TcpListener>, EndpointError> {
    let listen = |address| listener(address).map_err(|source| EndpointError::Listen { address, source });
    let mut listeners = vec![listen(address)?];
    if let Some(twin) = twin(address).filter(|twin| twin.port() != 0) {
        match listen(twin) {
            Ok(listener) => listeners.push(listener),
            // This machine has no such family.
            Err(EndpointError::Listen { source, .. })
                if matches!(Errno::from_io_error(&source), Some(Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(listeners)
}

fn listener(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

async fn accept(listener: TcpListener, allow_remote: bool, router: Router, connections: Arc<Semaphore>) {
    // They end with this task.
    let mut tasks = JoinSet::new();
    loop {
        while tasks.try_join_next().is_some() {}
        let Ok(one_of_some) = Arc::clone(&connections).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((_, peer)) if !allow_remote && !peer.ip().to_canonical().is_loopback() => {
                tracing::warn!(%peer, "the endpoint hung up: not from this machine");
            }
            Ok((stream, _)) => {
                let router = router.clone();
                tasks.spawn(async move {
                    // A connection that breaks, is too slow or sends no HTTP is its client's affair.
                    let _ = time::timeout(ALL_WITHIN, answer(stream, router)).await;
                    drop(one_of_some);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the endpoint cannot accept a connection");
                time::sleep(PAUSE).await;
            }
        }
    }
}

/// Answers the one request of a connection.
async fn answer(stream: TcpStream, router: Router) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let arrived_at = ArrivedAt(stream.local_addr()?);
    let routes = TowerToHyperService::new(router);
    let service = hyper::service::service_fn(|mut request: Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(arrived_at);
        routes.call(request)
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .keep_alive(false)
        .max_headers(MAX_HEADERS)
        .max_header_size(MAX_HEAD)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .await?;
    Ok(())
}
