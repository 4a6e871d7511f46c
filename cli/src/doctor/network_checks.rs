use std::{env, io, net::SocketAddr, time::Duration};

use http::is_local;
use npm::Registry;
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};
use url::{Host, Url};

use crate::{
    Error, Origin,
    doctor::{Check, Finding},
};

/// How long a name may take: resolvers give up after five seconds, and try again.
const NAME_TIMEOUT: Duration = Duration::from_secs(12);

/// How long a port may take to open, as of the client's own connections.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);

/// The variables that name a proxy for https.
const PROXIES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

const NAME_HINT: &str = "check the url, and /etc/resolv.conf or the name server of this container's network";

/// The exit code of what cannot be reached.
const UNREACHABLE: u8 = 7;

/// Where something is asked over the network.
pub(super) struct Way {
    url: Url,
    /// The url as it is given, without a slash at its end.
    pub(super) base: String,
}

impl Way {
    /// The way to a broker.
    pub(super) fn to(url: &str) -> Result<Self, Error> {
        let base = url.trim_end_matches('/').to_owned();
        let url: Url = base.parse().map_err(|_| Error::Url)?;
        let is_one = ["http", "https"].contains(&url.scheme()) && url.has_host();
        if is_one { Ok(Self { url, base }) } else { Err(Error::Url) }
    }

    /// The way to an origin whose host is known here: AWS's are its SDK's affair.
    pub(super) fn to_origin(origin: &Origin) -> Option<Self> {
        match origin {
            Origin::Https(url) => Self::to(url.as_str()).ok(),
            Origin::Npm(_) => Self::to(Registry::from_environment().ok()?.url().as_str()).ok(),
            Origin::S3 { .. } | Origin::Folder(_) => None,
        }
    }

    /// The url of a route.
    pub(super) fn route(&self, path: &str) -> Result<Url, Error> {
        format!("{}/{path}", self.base).parse().map_err(|_| Error::Url)
    }

    pub(super) fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    pub(super) fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or_default()
    }

    /// The proxy's variable, where one is set: then this machine need neither know the name nor reach the port.
    fn proxy(&self) -> Option<&'static str> {
        let is_set = |name: &&str| env::var_os(name).is_some_and(|url| !url.is_empty());
        if self.is_https() { PROXIES.into_iter().find(is_set) } else { None }
    }

    async fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        let port = self.port();
        match self.url.host() {
            Some(Host::Ipv4(address)) => Ok(vec![(address, port).into()]),
            Some(Host::Ipv6(address)) => Ok(vec![(address, port).into()]),
            // As the client has it.
            _ if is_local(&self.url) => Ok(vec![([127, 0, 0, 1], port).into()]),
            _ => match timeout(NAME_TIMEOUT, lookup_host((self.host(), port))).await {
                Ok(found) => Ok(found?.collect()),
                Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no name server answers")),
            },
        }
    }

    /// A failure, or where a proxy may know better a warning.
    fn failure(&self, check: Check, found: String, hint: &str) -> Finding {
        match self.proxy() {
            Some(variable) => check.warning(found, format!("it may be reached all the same: {variable} is set")),
            None => check.failed(found, hint, UNREACHABLE),
        }
    }
}

/// Whether the host's name is known.
pub(super) async fn name(way: &Way) -> Finding {
    let host = way.host();
    if !matches!(way.url.host(), Some(Host::Domain(_))) {
        return Check::Name.ok(format!("{host} is an address"));
    }
    match way.addresses().await {
        Ok(found) if !found.is_empty() => {
            let addresses: Vec<String> = found.iter().map(|address| address.ip().to_string()).collect();
            Check::Name.ok(format!("{host} is {}", addresses.join(", ")))
        }
        Ok(_) => way.failure(Check::Name, format!("{host} has no address"), NAME_HINT),
        Err(error) => way.failure(Check::Name, format!("{host} is not known: {error}"), NAME_HINT),
    }
}

/// Whether the port is open.
pub(super) async fn connection(way: &Way) -> Finding {
    let (host, port) = (way.host(), way.port());
    let mut last = io::Error::new(io::ErrorKind::NotFound, "it has no address");
    for address in way.addresses().await.unwrap_or_default() {
        match timeout(OPEN_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(_)) => return Check::Connection.ok(format!("port {port} of {host} is open")),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::Error::new(io::ErrorKind::TimedOut, "nobody answers"),
        }
    }
    let hint = if last.kind() == io::ErrorKind::ConnectionRefused {
        "nothing listens there: check the url's port, and that the broker runs"
    } else {
        "check routes, security groups and firewalls on the way, and whether it is to be reached by a proxy"
    };
    way.failure(Check::Connection, format!("port {port} of {host} is not open: {last}"), hint)
}
