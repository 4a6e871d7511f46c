use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::InvalidText;

/// The most octets of a serial number (RFC 5280 section 4.1.2.2).
const MAX_OCTETS: usize = 20;

/// A certificate's serial number as step-ca writes it: decimal, positive or zero, without leading zeros, at most 160 bits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SerialNumber(String);

impl SerialNumber {
    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for SerialNumber {
    type Error = InvalidText;

    fn try_from(text: String) -> Result<Self, InvalidText> {
        let is_short = matches!(text.len(), 1..=49);
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
        if is_short && is_number && fits(&text) { Ok(Self(text)) } else { Err(InvalidText("serial number")) }
    }
}

/// Whether digits are a number of [`MAX_OCTETS`] at most.
fn fits(digits: &str) -> bool {
    let mut octets = [0_u8; MAX_OCTETS];
    digits.bytes().all(|digit| {
        let mut carry = digit - b'0';
        for octet in octets.iter_mut().rev() {
            [carry, *octet] = (u16::from(*octet) * 10 + u16::from(carry)).to_be_bytes();
        }
        carry == 0
    })
}

impl FromStr for SerialNumber {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        Self::try_from(text.to_owned())
    }
}

impl From<SerialNumber> for String {
    fn from(serial: SerialNumber) -> Self {
        serial.0
    }
}

impl fmt::Display for SerialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2^160 - 1.
    const LARGEST: &str = "1461501637330902918203684832716283019655932542975";

    #[test]
    fn a_serial_number_is_decimal_and_has_160_bits_at_most() {
        for good in ["0", "1", "10", "340282366920938463463374607431768211455", LARGEST] {
            assert_eq!(good.parse::<SerialNumber>().unwrap().as_str(), good);
        }
        let larger = LARGEST.replace("2975", "2976");
        let long = format!("{LARGEST}0");
        for bad in
            ["", "00", "01", "-1", "+1", " 1", "1 ", "1.0", "0x1", "1e3", "\u{661}", &larger, &"9".repeat(49), &long]
        {
            assert!(bad.parse::<SerialNumber>().is_err(), "{bad}");
        }
    }
}
