use std::{fmt, str::FromStr};

/// Why a certificate is revoked (RFC 5280 section 5.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReasonCode(u8);

/// Not such a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a reason code of RFC 5280: 0 to 10 without 7, or a name as keyCompromise")]
pub struct InvalidReasonCode;

/// The names, and for whom they are. There is no 7.
const REASONS: [(u8, &str, &str); 10] = [
    (0, "unspecified", "no reason is given"),
    (1, "keyCompromise", "others may have the private key"),
    (2, "cACompromise", "others may have the CA's private key"),
    (3, "affiliationChanged", "the name, or whom it belongs to, has changed"),
    (4, "superseded", "another certificate is in its place"),
    (5, "cessationOfOperation", "it is needed no longer"),
    (6, "certificateHold", "for a while; a step-ca revokes for good all the same"),
    (8, "removeFromCRL", "it is on hold no longer; a step-ca does not take it back"),
    (9, "privilegeWithdrawn", "what it allows is allowed no longer"),
    (10, "aACompromise", "others may have the key of an attribute authority"),
];

impl ReasonCode {
    /// Every reason there is.
    pub fn all() -> impl Iterator<Item = Self> {
        REASONS.iter().map(|(code, ..)| Self(*code))
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// What it is for.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        self.entry().2
    }

    fn entry(self) -> &'static (u8, &'static str, &'static str) {
        REASONS.iter().find(|(code, ..)| *code == self.0).expect("a reason is one of these")
    }
}

impl FromStr for ReasonCode {
    type Err = InvalidReasonCode;

    /// A number, or a name in any case, with or without hyphens.
    fn from_str(text: &str) -> Result<Self, InvalidReasonCode> {
        let name = text.replace('-', "");
        let is_it = |(code, known, _): &&(u8, &str, &str)| text == code.to_string() || name.eq_ignore_ascii_case(known);
        REASONS.iter().find(is_it).map(|(code, ..)| Self(*code)).ok_or(InvalidReasonCode)
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.entry().1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_a_number_or_a_name() {
        for (text, number) in [
            ("0", 0),
            ("10", 10),
            ("keyCompromise", 1),
            ("keycompromise", 1),
            ("key-compromise", 1),
            ("CACompromise", 2),
            ("remove-from-crl", 8),
        ] {
            assert_eq!(text.parse::<ReasonCode>().unwrap().number(), number, "{text}");
        }
        for bad in ["", "7", "11", "-1", "01", "compromise", "key compromise"] {
            assert_eq!(bad.parse::<ReasonCode>(), Err(InvalidReasonCode), "{bad}");
        }
        for reason in ReasonCode::all() {
            assert_eq!(reason.to_string().parse(), Ok(reason));
            assert_eq!(reason.number().to_string().parse(), Ok(reason));
        }
    }
}
