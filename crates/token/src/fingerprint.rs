use std::{fmt, str::FromStr};

use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};

use crate::base64url;

const PREFIX: &str = "SHA256:";

/// The fingerprint of an ssh key as `ssh-keygen -l` prints it: `SHA256:` and the SHA-256 of the public key (RFC 4253 section
/// 6.6) in base64 without padding. It is the `sub` of the key's tokens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(String);

/// A text that is no fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a fingerprint: SHA256: and 43 characters of base64")]
pub struct InvalidFingerprint;

impl Fingerprint {
    /// The fingerprint as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The `client_id` of the key: its fingerprint's text in base64url.
    #[must_use]
    pub fn to_client_id(&self) -> String {
        base64url::encode(&self.0)
    }

    /// Reads a `client_id`, with padding or without.
    ///
    /// # Errors
    /// [`InvalidFingerprint`].
    pub fn from_client_id(client_id: &str) -> Result<Self, InvalidFingerprint> {
        let text = base64url::decode_lenient(client_id).ok_or(InvalidFingerprint)?;
        str::from_utf8(&text).map_err(|_| InvalidFingerprint)?.parse()
    }
}

impl FromStr for Fingerprint {
    type Err = InvalidFingerprint;

    fn from_str(text: &str) -> Result<Self, InvalidFingerprint> {
        let digest = text.strip_prefix(PREFIX).and_then(|digest| BASE64_STANDARD_NO_PAD.decode(digest).ok());
        if digest.is_some_and(|digest| digest.len() == 32) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidFingerprint)
        }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU";

    #[test]
    fn a_client_id_is_the_fingerprint_with_padding_or_without() {
        let padded = "U0hBMjU2OjQ3REVRcGo4SEJTYSsvVEltVys1SkNldVFlUmttNU5NcEpXWkczaFN1RlU=";
        let fingerprint: Fingerprint = TEXT.parse().unwrap();
        assert_eq!(fingerprint.to_client_id(), padded.trim_end_matches('='));
        for client_id in [padded, padded.trim_end_matches('=')] {
            assert_eq!(Fingerprint::from_client_id(client_id).unwrap(), fingerprint);
        }
    }

    #[test]
    fn what_is_no_fingerprint_is_refused() {
        for bad in ["", "SHA256:", "MD5:00", &TEXT[7..], &TEXT[..49], &format!("{TEXT}="), &TEXT.replace('S', "s")] {
            assert_eq!(bad.parse::<Fingerprint>(), Err(InvalidFingerprint), "{bad}");
        }
        for bad in ["", "=", TEXT, "/w", "U0hBMjU2Og"] {
            assert_eq!(Fingerprint::from_client_id(bad), Err(InvalidFingerprint), "{bad}");
        }
    }
}
