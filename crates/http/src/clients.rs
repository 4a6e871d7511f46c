use std::{net::SocketAddr, sync::OnceLock, time::Duration};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::Url;

/// Resolves `localhost` and the names below it to this machine, as RFC 6761 section 6.3 asks of resolvers; others by
/// the operating system.
struct Resolver;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let host = name.as_str();
            if is_localhost(host) {
                return Ok(Box::new([SocketAddr::from(([127, 0, 0, 1], 0))].into_iter()) as Addrs);
            }
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host, 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// HTTP clients, each made when it is first needed. They follow no redirect: where one is expected, it is looked at.
#[derive(Debug, Default)]
pub struct Http {
    plain: OnceLock<reqwest::Client>,
    tls: OnceLock<reqwest::Client>,
}

impl Http {
    /// The client for what `url` names.
    ///
    /// Plain `http` is for a machine nearby: it takes no way over a proxy, and the system's certificates, whose reading
    /// takes longer than all else that the command does, are not read for it. An exchange does not rely on TLS.
    ///
    /// # Errors
    /// Where no client can be made, as without certificates.
    pub fn client(&self, url: &Url) -> Result<&reqwest::Client, reqwest::Error> {
        let builder = reqwest::Client::builder();
        let (made, builder) = if url.scheme() == "http" {
            (&self.plain, builder.no_proxy().tls_certs_only([]))
        } else {
            (&self.tls, builder)
        };
        if let Some(client) = made.get() {
            return Ok(client);
        }
        let client = settled(builder).build()?;
        Ok(made.get_or_init(|| client))
    }
}

/// The same with what every client here has in common: names below `localhost` are this machine's, no redirect is followed, and who
/// does not take a connection is given up.
pub fn settled(builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
    builder
        .dns_resolver(Resolver)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(5))
        .user_agent(concat!("countersign/", env!("CARGO_PKG_VERSION")))
}

/// Whether nobody can listen on the way to this url, or none but this machine: `https`, or a loopback address. Names below
/// `localhost` are this machine's for the clients of [`Http`].
#[must_use]
pub fn is_private(url: &Url) -> bool {
    url.scheme() == "https" || (url.scheme() == "http" && is_local(url))
}

/// Whether this url names this machine.
#[must_use]
pub fn is_local(url: &Url) -> bool {
    url.host_str().is_some_and(|host| is_localhost(host) || matches!(host, "127.0.0.1" | "[::1]"))
}

fn is_localhost(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}

/// A body of at most `limit` bytes; `None` where it is larger.
///
/// # Errors
/// Where the connection breaks.
pub async fn body(mut response: reqwest::Response, limit: usize) -> Result<Option<Vec<u8>>, reqwest::Error> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_and_this_machine_are_private() {
        for (url, expected) in [
            ("https://example.com", true),
            ("http://localhost:8080/", true),
            ("http://api.execute-api.localhost:4566/prod", true),
            ("http://127.0.0.1", true),
            ("http://[::1]:1/", true),
            ("http://example.com", false),
            ("http://localhost.example.com", false),
            ("http://notlocalhost", false),
            ("http://192.168.0.1", false),
            ("ftp://localhost", false),
        ] {
            assert_eq!(is_private(&url.parse().unwrap()), expected, "{url}");
        }
    }
}
