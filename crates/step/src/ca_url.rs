use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

use protocol::AltName;
use serde::{Deserialize, Serialize};

use crate::InvalidText;

/// The base URL of a step-ca: `https://<host>[:<port>]`, in lower case, with neither user, path, query nor fragment. A slash at its
/// end is left out.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CaUrl(String);

impl CaUrl {
    /// The URL, without a slash at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a certificate of this name is good for the CA's own host: who has one can be the CA for its clients.
    #[must_use]
    pub fn is_for_host(&self, name: &str) -> bool {
        let host = self.0.trim_start_matches("https://");
        let host = match host.strip_prefix('[') {
            Some(address) => address.split(']').next(),
            None => host.split(':').next(),
        };
        let Some(host) = host else { return false };
        let name = name.to_ascii_lowercase();
        match (host.parse::<IpAddr>(), name.parse::<IpAddr>()) {
            (Ok(host), Ok(name)) => host.to_canonical() == name.to_canonical(),
            (Err(_), Err(_)) => {
                let covers = |suffix: &str| host.split_once('.').is_some_and(|(_, domain)| domain == suffix);
                name == host || name.strip_prefix("*.").is_some_and(covers)
            }
            (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
        }
    }
}

impl FromStr for CaUrl {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        const INVALID: InvalidText = InvalidText("URL of a CA");
        let text = text.strip_suffix('/').unwrap_or(text).to_ascii_lowercase();
        let authority = text.strip_prefix("https://").ok_or(INVALID)?;
        let end_of_host = authority.rfind(']').map_or(0, |bracket| bracket + 1);
        let port = authority[end_of_host..].find(':').map(|colon| end_of_host + colon);
        let (host, port) = match port {
            Some(colon) => (&authority[..colon], Some(&authority[colon + 1..])),
            None => (authority, None),
        };
        let is_port = |port: &str| port.parse::<u16>().is_ok_and(|number| number != 0 && number.to_string() == port);
        if is_host(host) && port.is_none_or(is_port) { Ok(Self(text)) } else { Err(INVALID) }
    }
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    match host.parse() {
        Ok(AltName::Dns(name)) => !name.starts_with('*'),
        Ok(AltName::Ip(address)) => address.is_ipv4() && !host.contains(':'),
        Ok(AltName::Email(_) | AltName::Uri(_)) | Err(_) => false,
    }
}

impl TryFrom<String> for CaUrl {
    type Error = InvalidText;

    fn try_from(text: String) -> Result<Self, InvalidText> {
        text.parse()
    }
}

impl From<CaUrl> for String {
    fn from(url: CaUrl) -> Self {
        url.0
    }
}

impl fmt::Display for CaUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_good_for_the_host_are_known() {
        for (url, good, others) in [
            (
                "https://ca.example.com:9000",
                ["ca.example.com", "CA.example.com", "*.example.com"].as_slice(),
                ["example.com", "ca.example.com.evil.net", "xca.example.com", "*.ca.example.com", "ca@example.com"]
                    .as_slice(),
            ),
            ("https://192.0.2.1", &["192.0.2.1", "::ffff:192.0.2.1"], &["192.0.2.10", "*.0.2.1"]),
            ("https://[2001:db8::1]:443", &["2001:db8::1", "2001:DB8:0::1"], &["2001:db8::2"]),
            ("https://localhost", &["localhost"], &["*.localhost", "alice"]),
        ] {
            let url: CaUrl = url.parse().unwrap();
            assert!(good.iter().all(|name| url.is_for_host(name)), "{url}");
            assert!(!others.iter().any(|name| url.is_for_host(name)), "{url}");
        }
    }

    #[test]
    fn a_url_is_a_host_and_a_port_over_https() {
        for (text, url) in [
            ("https://ca.example.com", "https://ca.example.com"),
            ("https://CA.example.com:9000/", "https://ca.example.com:9000"),
            ("HTTPS://ca:443", "https://ca:443"),
            ("https://192.0.2.1:9000", "https://192.0.2.1:9000"),
            ("https://[2001:db8::1]", "https://[2001:db8::1]"),
            ("https://[::1]:9000", "https://[::1]:9000"),
        ] {
            assert_eq!(text.parse::<CaUrl>().unwrap().as_str(), url, "{text}");
        }
        for bad in [
            "",
            "https://",
            "http://ca.example.com",
            "ca.example.com",
            "https://ca.example.com//",
            "https://ca.example.com/acme",
            "https://ca.example.com?a",
            "https://ca.example.com#a",
            "https://user@ca.example.com",
            "https://user:password@ca.example.com",
            "https://ca.example.com:",
            "https://ca.example.com:0",
            "https://ca.example.com:09000",
            "https://ca.example.com:+9000",
            "https://ca.example.com:65536",
            "https://*.example.com",
            "https://ca .example.com",
            "https://ca.example.com\n",
            "https://::1",
            "https://::ffff:192.0.2.1",
            "https://[ca]",
            "https://[::1]9000",
            "https://[::1",
            "https://ca]:1",
        ] {
            assert!(bad.parse::<CaUrl>().is_err(), "{bad}");
        }
    }
}
