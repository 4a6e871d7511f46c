use std::{fmt, str::FromStr};

use aws_lc_rs::digest::{SHA256, digest};

use crate::PkiError;

/// A certificate's id as AWS IoT gives it: SHA-256 of the DER, in 64 lower-case hex digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CertificateId(String);

impl CertificateId {
    pub(crate) fn of(der: &[u8]) -> Self {
        Self(hex::encode(digest(&SHA256, der)))
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CertificateId {
    type Err = PkiError;

    fn from_str(text: &str) -> Result<Self, PkiError> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() == 64 && text.bytes().all(is_digit) {
            Ok(Self(text.to_owned()))
        } else {
            Err(PkiError::MalformedCertificateId)
        }
    }
}

impl fmt::Display for CertificateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_64_lower_case_hex_digits_and_nothing_else() {
        let id = CertificateId::of(b"");
        assert_eq!(id.as_str(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(id.to_string().parse(), Ok(id.clone()));
        let upper_case = id.as_str().to_uppercase();
        let long = format!("{id}0");
        let spaced = format!(" {}", &id.as_str()[1..]);
        let wide = format!("\u{e9}{}", &id.as_str()[2..]);
        for bad in ["", &id.as_str()[1..], &upper_case, &long, &spaced, &wide, "../"] {
            assert_eq!(bad.parse::<CertificateId>(), Err(PkiError::MalformedCertificateId), "{bad}");
        }
    }
}
