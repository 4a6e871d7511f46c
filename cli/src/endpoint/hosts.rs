use std::net::{IpAddr, SocketAddr};

/// By which names the endpoint may be asked.
#[derive(Clone, Debug)]
pub(crate) struct Hosts(Vec<String>);

impl Hosts {
    /// The address of the connection, `localhost`, and these.
    pub(crate) fn new(names: Vec<String>) -> Self {
        Self(names)
    }

    /// Whether a request may say this (RFC 9110 section 7.2) on a connection that came to `arrived_at`.
    ///
    /// An address is no name that someone else could make resolve to this machine, so the one that was connected to is always
    /// right, also where the endpoint listens on all. A port that is there must be the connection's; SDKs over the AWS CRT
    /// (aws-c-auth) leave it out, and a browser never does. A name of the configuration is right with any port: before a
    /// container's may stand another.
    pub(crate) fn allow(&self, host: &str, arrived_at: SocketAddr) -> bool {
        let ip = arrived_at.ip().to_canonical();
        if let Some((address, port)) = address(host) {
            return address == ip && port.is_none_or(|port| port == arrived_at.port()) || self.has(host);
        }
        let (name, port) = host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port)));
        let is_port = port.is_none_or(|port| port.parse() == Ok(arrived_at.port()));
        let is_local = name.eq_ignore_ascii_case("localhost") && ip.is_loopback();
        is_local && is_port || self.has(host) || self.has(name)
    }

    fn has(&self, host: &str) -> bool {
        self.0.iter().any(|name| name.eq_ignore_ascii_case(host))
    }
}

fn address(host: &str) -> Option<(IpAddr, Option<u16>)> {
    if let Ok(address) = host.parse::<SocketAddr>() {
        return Some((address.ip().to_canonical(), Some(address.port())));
    }
    let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    literal.parse().ok().map(|ip: IpAddr| (ip.to_canonical(), None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_the_address_that_was_connected_to_or_a_name_of_the_configuration() {
        let hosts = Hosts::new(vec!["agent.internal".into(), "proxy:8080".into(), "10.0.0.9".into()]);
        for (arrived_at, host, allowed) in [
            ("127.0.0.1:2773", "127.0.0.1:2773", true),
            ("127.0.0.1:2773", "localhost:2773", true),
            ("127.0.0.1:2773", "LocalHost:2773", true),
            ("[::1]:2773", "[::1]:2773", true),
            ("[::1]:2773", "localhost:2773", true),
            ("[::ffff:127.0.0.1]:2773", "127.0.0.1:2773", true),
            ("10.1.2.3:2773", "10.1.2.3:2773", true),
            ("127.0.0.1:2773", "127.0.0.1", true),
            ("127.0.0.1:2773", "localhost", true),
            ("[::1]:2773", "[::1]", true),
            ("[::1]:2773", "::1", true),
            ("127.0.0.1:2773", "agent.internal", true),
            ("127.0.0.1:2773", "Agent.Internal:9999", true),
            ("127.0.0.1:2773", "proxy:8080", true),
            ("127.0.0.1:2773", "10.0.0.9", true),
            ("127.0.0.1:2773", "", false),
            ("127.0.0.1:2773", "127.0.0.2", false),
            ("127.0.0.1:2773", "127.0.0.1:", false),
            ("127.0.0.1:2773", "[127.0.0.1", false),
            ("127.0.0.1:2773", "127.0.0.1:2774", false),
            ("127.0.0.1:2773", "127.0.0.2:2773", false),
            ("127.0.0.1:2773", "127.1:2773", false),
            ("127.0.0.1:2773", "2130706433:2773", false),
            ("127.0.0.1:2773", "localhost:", false),
            ("127.0.0.1:2773", "localhost:2774", false),
            ("127.0.0.1:2773", "localhost.:2773", false),
            ("127.0.0.1:2773", "localhost:2773:2773", false),
            ("127.0.0.1:2773", "localhost.evil.example:2773", false),
            ("127.0.0.1:2773", "evil.example:2773", false),
            ("127.0.0.1:2773", "proxy:2773", false),
            ("127.0.0.1:2773", "user@127.0.0.1:2773", false),
            ("10.1.2.3:2773", "localhost:2773", false),
            ("10.1.2.3:2773", "127.0.0.1:2773", false),
        ] {
            assert_eq!(hosts.allow(host, arrived_at.parse().unwrap()), allowed, "{host} at {arrived_at}");
        }
    }
}
