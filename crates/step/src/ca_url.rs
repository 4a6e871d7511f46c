use std::{fmt, net::Ipv6Addr, str::FromStr};

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
