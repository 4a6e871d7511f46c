use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::InvalidName;

/// The most names that one certificate is asked to have beside its common name.
pub const MAX_ALT_NAMES: usize = 32;

/// RFC 1035 section 2.3.4, without the root's dot.
const MAX_DNS: usize = 253;
const MAX_LABEL: usize = 63;

/// RFC 5321 section 4.5.3.1, erratum 1690; before the `@`: 64.
const MAX_EMAIL: usize = 254;
const MAX_LOCAL_PART: usize = 64;

const MAX_URI: usize = 512;

/// A name that a certificate of a step-ca has beside its common name (RFC 5280 section 4.2.1.6), as text.
///
/// The text tells the kind, as it does for step-ca (`x509util.SplitSANs`): an address, else what holds `://` is a URI, else what
/// holds `@` is a mailbox, else it is a host's name. Each kind's grammar is narrower than step-ca's, and has one form of each
/// name: policy is asked about the very text that the certificate will have. So the names of hosts are in lower case, an IPv4
/// address in IPv6 is the IPv4 address, and a URI has neither escapes nor segments of dots, which its readers resolve.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum AltName {
    /// A host's name: at most 253 of letters, digits, `-`, `_`, in labels of 1 to 63. The first label may be `*`, with at least
    /// one after it; the last is not of digits alone, which would be read as an address. In lower case.
    Dns(String),
    /// An address.
    Ip(IpAddr),
    /// A mailbox: `<text>@<host>`, at most 254 characters. The text has no quotes, and the host is in lower case.
    Email(String),
    /// `<scheme>://<host>[:<port>][/<path>][?<query>]`, at most 512 characters, without escapes (`%`), user or fragment. Scheme and
    /// host are in lower case.
    Uri(String),
}

impl AltName {
    /// Its kind, as policies see it: `dns`, `ip`, `email`, `uri`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Dns(_) => "dns",
            Self::Ip(_) => "ip",
            Self::Email(_) => "email",
            Self::Uri(_) => "uri",
        }
    }
}

impl TryFrom<String> for AltName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl FromStr for AltName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let name = if let Ok(address) = text.parse::<IpAddr>() {
            Some(Self::Ip(address.to_canonical()))
        } else if let Some((scheme, rest)) = text.split_once("://") {
            uri(scheme, rest).map(Self::Uri)
        } else if text.contains('@') {
            email(text).map(Self::Email)
        } else {
            dns(text).map(Self::Dns)
        };
        name.ok_or(InvalidName("alternative name"))
    }
}

impl From<AltName> for String {
    fn from(name: AltName) -> Self {
        match name {
            AltName::Dns(text) | AltName::Email(text) | AltName::Uri(text) => text,
            AltName::Ip(address) => address.to_string(),
        }
    }
}

impl fmt::Display for AltName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(text) | Self::Email(text) | Self::Uri(text) => f.write_str(text),
            Self::Ip(address) => address.fmt(f),
        }
    }
}

fn dns(text: &str) -> Option<String> {
    let host = text.strip_prefix("*.").unwrap_or(text);
    (text.len() <= MAX_DNS).then_some(())?;
    is_host(host).then(|| text.to_ascii_lowercase())
}

fn is_host(text: &str) -> bool {
    let is_label = |label: &str| {
        matches!(label.len(), 1..=MAX_LABEL)
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    text.len() <= MAX_DNS && text.split('.').all(is_label) && !last.bytes().all(|byte| byte.is_ascii_digit())
}

fn email(text: &str) -> Option<String> {
    let (local, host) = text.split_once('@')?;
    // RFC 5322 section 3.2.3, "atext", in a "dot-atom". A colon would make it a URI for step-ca.
    let is_atom = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&'*+-/=?^_`{|}~".contains(&byte);
    let is_local =
        local.len() <= MAX_LOCAL_PART && local.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(is_atom));
    (is_local && is_host(host) && text.len() <= MAX_EMAIL).then(|| format!("{local}@{}", host.to_ascii_lowercase()))
}

fn uri(scheme: &str, rest: &str) -> Option<String> {
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|number| number.to_string() == port);
    let is_address = host.parse::<std::net::Ipv4Addr>().is_ok();
    let (path, query) = rest.split_once('?').map_or((rest, ""), |(path, query)| (path, query));
    // RFC 3986 section 3.3, "pchar", without escapes.
    let is_character = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte);
    let is_query = |byte: u8| is_character(byte) || byte == b'?';
    let is_valid = is_scheme
        && (is_host(host) || is_address)
        && port.is_none_or(is_port)
        && path.bytes().all(is_character)
        && !path.split('/').any(|segment| matches!(segment, "." | ".."))
        && query.bytes().all(is_query);
    let text = format!("{}://{}{rest}", scheme.to_ascii_lowercase(), authority.to_ascii_lowercase());
    (is_valid && text.len() <= MAX_URI).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_tells_the_kind_and_has_one_form() {
        let label = "a".repeat(63);
        let long = format!("{label}.{label}.{label}.{}", "a".repeat(61));
        for (text, expected, form) in [
            ("web", "dns", "web"),
            ("Web-1.Example.com", "dns", "web-1.example.com"),
            ("_srv.example.com", "dns", "_srv.example.com"),
            ("*.example.com", "dns", "*.example.com"),
            ("1password", "dns", "1password"),
            (&long, "dns", &long),
            ("192.0.2.1", "ip", "192.0.2.1"),
            ("::FFFF:192.0.2.1", "ip", "192.0.2.1"),
            ("2001:DB8:0:0::1", "ip", "2001:db8::1"),
            ("Alice@Example.COM", "email", "Alice@example.com"),
            ("a+b/c=d@example.com", "email", "a+b/c=d@example.com"),
            ("spiffe://example.com/ns/prod", "uri", "spiffe://example.com/ns/prod"),
            ("HTTPS://Example.com:8443/Path?a=b@c", "uri", "https://example.com:8443/Path?a=b@c"),
            ("https://192.0.2.1", "uri", "https://192.0.2.1"),
        ] {
            let name: AltName = text.parse().unwrap_or_else(|_| panic!("{text}"));
            assert_eq!((name.kind(), name.to_string()), (expected, form.to_owned()), "{text}");
            let json = serde_json::to_string(&name).unwrap();
            assert_eq!(json, format!("\"{form}\""));
            assert_eq!(serde_json::from_str::<AltName>(&json).unwrap(), name);
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        let label = "a".repeat(64);
        let long = format!("{0}.{0}.{0}.{1}", "a".repeat(63), "a".repeat(62));
        let email = format!("{}@example.com", "a".repeat(65));
        let uri = format!("spiffe://example.com/{}", "a".repeat(492));
        for bad in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "-a",
            "a-",
            "*",
            "*.",
            "a.*.b",
            "*.*.b",
            "w*.example.com",
            "a b",
            "a\0b",
            "a\n",
            "a,b",
            "m\u{fc}ller.de",
            "1.2.3.256",
            "010.0.0.1.2",
            "1234",
            "0x7f.1",
            &label,
            &long,
            "192.0.2.1/24",
            "fe80::1%eth0",
            "[::1]",
            "host:80",
            "mailto:alice@example.com",
            "a:b@example.com",
            "@example.com",
            "alice@",
            "alice@@example.com",
            "\"a b\"@example.com",
            ".a@example.com",
            "a..b@example.com",
            "alice@192.0.2.1",
            &email,
            "urn:uuid:1",
            "://example.com",
            "1a://example.com",
            "spiffe://",
            "spiffe:///path",
            "spiffe://user@example.com/",
            "spiffe://example.com/a/../b",
            "spiffe://example.com/./b",
            "spiffe://example.com/%2e%2e/b",
            "spiffe://ex%61mple.com/",
            "spiffe://example.com/a b",
            "spiffe://example.com/a#b",
            "https://example.com:/",
            "https://example.com:080/",
            "https://example.com:65536/",
            "https://[::1]/",
            "https://example.com\\@evil/",
            &uri,
        ] {
            // "0x7f.1" has a last label of digits alone.
            assert!(bad.parse::<AltName>().is_err(), "{bad}");
        }
    }
}
