use std::{net::SocketAddr, time::Duration};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Whether the proxy that the environment names is used.
#[derive(Clone, Copy)]
pub(crate) enum Proxy {
    FromEnvironment,
    Never,
}

/// Resolves `localhost` and the names below it to this machine, as RFC 6761 section 6.3 asks of resolvers; others by
/// the operating system.
struct Resolver;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let host = name.as_str();
            if host == "localhost" || host.ends_with(".localhost") {
                return Ok(Box::new([SocketAddr::from(([127, 0, 0, 1], 0))].into_iter()) as Addrs);
            }
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host, 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// The HTTP client for broker and origin. It follows no redirect: a broker has no reason to send one.
///
/// Plain `http` origins are this machine's own: what they send must not take a way over a proxy.
pub(crate) fn client(proxy: Proxy) -> Result<reqwest::Client, reqwest::Error> {
    let builder = match proxy {
        Proxy::FromEnvironment => reqwest::Client::builder(),
        Proxy::Never => reqwest::Client::builder().no_proxy(),
    };
    builder
        .dns_resolver(Resolver)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(5))
        .user_agent(concat!("countersign/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// A body of at most `limit` bytes; `None` where it is larger.
pub(crate) async fn body(mut response: reqwest::Response, limit: usize) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let announced = response.content_length().unwrap_or(0);
    let mut body = Vec::with_capacity(usize::try_from(announced).unwrap_or(limit).min(limit));
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > limit {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}
