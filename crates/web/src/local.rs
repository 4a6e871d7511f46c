//! Runs a router on a port of this machine, for development and benches.

use std::net::SocketAddr;

use axum::{
    Router,
    extract::{ConnectInfo, Request},
    middleware::{Next, from_fn},
    response::Response,
};

use crate::Caller;

/// Serves HTTP/1.1 on `address` until the process is interrupted.
///
/// # Errors
/// Where the address cannot be listened on.
pub(crate) async fn run(router: Router, address: SocketAddr) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind(address).await?;
    tracing::info!(address = %listener.local_addr()?, "listening");
    let service = router.layer(from_fn(with_caller)).into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service)
        .with_graceful_shutdown(async {
            let _ = tokio::signal::ctrl_c().await;
        })
        .await
}

async fn with_caller(ConnectInfo(peer): ConnectInfo<SocketAddr>, mut request: Request, next: Next) -> Response {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(1);
    let request_id = format!("local-{}", COUNT.fetch_add(1, Ordering::Relaxed));
    request.extensions_mut().insert(Caller { source_ip: peer.ip(), request_id });
    next.run(request).await
}
