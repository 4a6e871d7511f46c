use std::{fmt, net::IpAddr, str::FromStr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// An IP network in CIDR notation (RFC 4632, RFC 4291 section 2.3) without host bits: `10.0.0.0/16`, `2001:db8::/32`.
///
/// IPv4-mapped IPv6 (RFC 4291 section 2.5.5.2) is the IPv4 that it stands for, in networks as in addresses, so that one
/// caller has one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network(IpNet);

/// A text that is no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNetwork {
    /// It is not of the form ADDRESS/LENGTH.
    #[error("not a network: ADDRESS/LENGTH")]
    Form,
    /// The address has bits outside of the network: `10.0.0.1/16`.
    #[error("host bits are set: the network is {0}")]
    HostBits(IpNet),
}

impl Network {
    /// The network of one address: /32 or /128.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        Self(address.to_canonical().into())
    }

    /// Whether the address is in this network.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }

    /// The one of two networks that lies in the other; `None` where neither does.
    #[must_use]
    pub fn narrower(self, other: Self) -> Option<Self> {
        match (self.0.contains(&other.0), other.0.contains(&self.0)) {
            (true, _) => Some(other),
            (false, true) => Some(self),
            (false, false) => None,
        }
    }
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        // Not by ipnet: it takes leading zeros, which others read as octal.
        let (address, length) = text.split_once('/').ok_or(InvalidNetwork::Form)?;
        let address: IpAddr = address.parse().map_err(|_| InvalidNetwork::Form)?;
        let length = length.parse().ok().filter(|_| length.bytes().all(|byte| byte.is_ascii_digit()));
        let network = length.and_then(|length| IpNet::new(address, length).ok()).ok_or(InvalidNetwork::Form)?;
        if network.trunc() != network {
            return Err(InvalidNetwork::HostBits(network.trunc()));
        }
        Ok(Self(match network {
            IpNet::V6(v6) => match (v6.addr().to_ipv4_mapped(), v6.prefix_len().checked_sub(96)) {
                (Some(v4), Some(length)) => IpNet::new(v4.into(), length).map_err(|_| InvalidNetwork::Form)?,
                _ => network,
            },
            IpNet::V4(_) => network,
        }))
    }
}

impl TryFrom<String> for Network {
    type Error = InvalidNetwork;

    fn try_from(text: String) -> Result<Self, InvalidNetwork> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_is_in_its_network_in_either_form() {
        for (name, network, address, expected) in [
            ("v4", "10.0.0.0/16", "10.0.255.255", true),
            ("v4_outside", "10.0.0.0/16", "10.1.0.0", false),
            ("v4_alone", "192.0.2.7/32", "192.0.2.7", true),
            ("v4_neighbour", "192.0.2.7/32", "192.0.2.8", false),
            ("v4_mapped_address", "10.0.0.0/16", "::ffff:10.0.3.4", true),
            ("v4_mapped_network", "::ffff:10.0.0.0/112", "10.0.3.4", true),
            ("v4_mapped_both", "::ffff:10.0.0.0/112", "::ffff:10.1.3.4", false),
            ("v4_in_all_of_v6", "::/0", "10.0.3.4", false),
            ("v4_mapped_in_all_of_v6", "::/0", "::ffff:10.0.3.4", false),
            ("v6", "2001:db8::/32", "2001:db8:ffff::1", true),
            ("v6_outside", "2001:db8::/32", "2001:db9::", false),
            ("v6_in_all_of_v4", "0.0.0.0/0", "2001:db8::1", false),
            ("everything_v4", "0.0.0.0/0", "203.0.113.1", true),
        ] {
            assert_eq!(self::network(network).contains(address.parse().unwrap()), expected, "{name}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for bad in [
            "",
            "10.0.0.0",
            "10.0.0.0/33",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "10.0.0/16",
            "::/129",
            "10.0.0.0/16 ",
            "localhost/8",
            "010.0.0.0/8",
        ] {
            assert_eq!(bad.parse::<Network>(), Err(InvalidNetwork::Form), "{bad}");
        }
        for (bad, meant) in [
            ("10.0.0.1/16", "10.0.0.0/16"),
            ("2001:db8::1/32", "2001:db8::/32"),
            ("::ffff:10.0.0.1/112", "::ffff:10.0.0.0/112"),
        ] {
            assert_eq!(bad.parse::<Network>(), Err(InvalidNetwork::HostBits(meant.parse().unwrap())), "{bad}");
        }
    }

    #[test]
    fn a_callers_network_is_its_address_alone() {
        for (address, text) in
            [("192.0.2.7", "192.0.2.7/32"), ("::ffff:192.0.2.7", "192.0.2.7/32"), ("2001:db8::7", "2001:db8::7/128")]
        {
            let network = Network::of(address.parse().unwrap());
            assert_eq!(network.to_string(), text);
            assert_eq!(text.parse(), Ok(network));
        }
    }

    #[test]
    fn of_two_networks_the_narrower_lies_in_the_other() {
        let narrower = |a, b| network(a).narrower(network(b)).map(|network| network.to_string());
        assert_eq!(narrower("10.0.0.0/8", "10.1.0.0/16").unwrap(), "10.1.0.0/16");
        assert_eq!(narrower("10.1.0.0/16", "10.0.0.0/8").unwrap(), "10.1.0.0/16");
        assert_eq!(narrower("10.0.0.0/8", "10.0.0.0/8").unwrap(), "10.0.0.0/8");
        assert_eq!(narrower("10.0.0.0/8", "11.0.0.0/8"), None);
        assert_eq!(narrower("0.0.0.0/0", "::/0"), None);
    }
}
