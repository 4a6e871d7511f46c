use std::{fmt, str::FromStr};

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use crate::InvalidText;

/// What a CA's root is known by: the SHA-256 of the certificate's DER.
///
/// As text 64 hex digits; read in either case, and with a colon after each two as OpenSSL prints it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RootFingerprint([u8; 32]);

impl RootFingerprint {
    /// Of this certificate. Not checked: that it is one.
    #[must_use]
    pub fn of(der: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, der).as_ref());
        Self(bytes)
    }

    /// Whether it is this certificate's.
    #[must_use]
    pub fn is_of(&self, der: &[u8]) -> bool {
        *self == Self::of(der)
    }
}

impl FromStr for RootFingerprint {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        const INVALID: InvalidText = InvalidText("fingerprint of a root certificate");
        let digits = if text.len() == 95 {
            let bytes: Vec<&str> = text.split(':').collect();
            if bytes.len() != 32 || bytes.iter().any(|byte| byte.len() != 2) {
                return Err(INVALID);
            }
            bytes.concat()
        } else {
            text.to_owned()
        };
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| INVALID)?;
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for RootFingerprint {
    type Error = InvalidText;

    fn try_from(text: String) -> Result<Self, InvalidText> {
        text.parse()
    }
}

impl From<RootFingerprint> for String {
    fn from(fingerprint: RootFingerprint) -> Self {
        fingerprint.to_string()
    }
}

impl fmt::Display for RootFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_fingerprint_is_read_as_openssl_and_step_print_it() {
        let openssl = TEXT.as_bytes().chunks(2).map(|byte| str::from_utf8(byte).unwrap()).collect::<Vec<_>>().join(":");
        for text in [TEXT, &TEXT.to_uppercase(), &openssl, &openssl.to_uppercase()] {
            let fingerprint: RootFingerprint = text.parse().unwrap();
            assert_eq!(fingerprint.to_string(), TEXT);
            assert!(fingerprint.is_of(b""));
            assert!(!fingerprint.is_of(b"\0"));
        }
        for bad in [
            "",
            &TEXT[1..],
            &format!("{TEXT}0"),
            &openssl.replacen(":e", "e:", 1),
            &openssl.replace(':', " "),
            &openssl[3..],
        ] {
            assert!(bad.parse::<RootFingerprint>().is_err(), "{bad}");
        }
    }
}
