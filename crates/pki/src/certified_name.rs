use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use protocol::AltName;
use x509_cert::der::{AnyRef, Decode as _, Tag, TagNumber, Tagged as _};

use crate::encoding::{fields, wrapped};

/// The numbers of four choices of GeneralName (RFC 5280 section 4.2.1.6), which are implicit and primitive.
const EMAIL: u32 = 1;
const DNS: u32 = 2;
const URI: u32 = 6;
const IP: u32 = 7;

/// A name that a certificate has beside its subject (RFC 5280 section 4.2.1.6), as whoever signed it wrote it: a text is ASCII, and may
/// hold control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertifiedName {
    /// dNSName.
    Dns(String),
    /// iPAddress.
    Ip(IpAddr),
    /// rfc822Name.
    Email(String),
    /// uniformResourceIdentifier.
    Uri(String),
    /// A name of another kind.
    Other,
}

impl CertifiedName {
    /// Whether it is this name, of the same kind and in the same form.
    #[must_use]
    pub fn is(&self, name: &AltName) -> bool {
        match name {
            AltName::Dns(text) => matches!(self, Self::Dns(own) if own == text),
            AltName::Ip(address) => matches!(self, Self::Ip(own) if own == address),
            AltName::Email(text) => matches!(self, Self::Email(own) if own == text),
            AltName::Uri(text) => matches!(self, Self::Uri(own) if own == text),
        }
    }

    /// Reads GeneralNames; `None` where they are malformed.
    pub(crate) fn read_all(general_names: &[u8]) -> Option<Vec<Self>> {
        fields(general_names).ok()?.into_iter().map(Self::read).collect()
    }

    fn read(general_name: &[u8]) -> Option<Self> {
        let name = AnyRef::from_der(general_name).ok()?;
        let Tag::ContextSpecific { number: TagNumber(number), .. } = name.tag() else { return None };
        let text = || str::from_utf8(name.value()).ok().filter(|text| text.is_ascii()).map(str::to_owned);
        match number {
            EMAIL => text().map(Self::Email),
            DNS => text().map(Self::Dns),
            URI => text().map(Self::Uri),
            IP => address(name.value()).map(Self::Ip),
            _ => Some(Self::Other),
        }
    }
}

impl fmt::Display for CertifiedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(text) | Self::Email(text) | Self::Uri(text) => f.write_str(text),
            Self::Ip(address) => address.fmt(f),
            Self::Other => f.write_str("(another kind of name)"),
        }
    }
}

/// Writes a GeneralName.
pub(crate) fn general_name(name: &AltName) -> Vec<u8> {
    let (number, value) = match name {
        AltName::Email(text) => (EMAIL, text.as_bytes().to_vec()),
        AltName::Dns(text) => (DNS, text.as_bytes().to_vec()),
        AltName::Uri(text) => (URI, text.as_bytes().to_vec()),
        AltName::Ip(IpAddr::V4(address)) => (IP, address.octets().to_vec()),
        AltName::Ip(IpAddr::V6(address)) => (IP, address.octets().to_vec()),
    };
    wrapped(Tag::ContextSpecific { constructed: false, number: TagNumber(number) }, value)
}

/// In a certificate an address has no mask.
fn address(octets: &[u8]) -> Option<IpAddr> {
    let v4 = || <[u8; 4]>::try_from(octets).ok().map(|octets| IpAddr::V4(Ipv4Addr::from(octets)));
    let v6 = || <[u8; 16]>::try_from(octets).ok().map(|octets| IpAddr::V6(Ipv6Addr::from(octets)));
    v4().or_else(v6)
}
