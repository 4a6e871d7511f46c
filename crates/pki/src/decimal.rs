/// A number in two's complement, most significant byte first, in decimal.
pub(crate) fn signed(bytes: &[u8]) -> String {
    let is_negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    let mut rest: Vec<u8> = bytes.iter().map(|byte| if is_negative { !byte } else { *byte }).collect();
    let mut digits = Vec::new();
    // A number that was inverted is one less than the amount.
    let mut carry = u8::from(is_negative);
    while carry != 0 || rest.iter().any(|&byte| byte != 0) {
        let mut remainder = 0_u16;
        for byte in &mut rest {
            let part = remainder << 8 | u16::from(*byte);
            [_, *byte] = (part / 10).to_be_bytes();
            remainder = part % 10;
        }
        let [_, digit] = (remainder + u16::from(carry)).to_be_bytes();
        carry = digit / 10;
        digits.push(b'0' + digit % 10);
    }
    if digits.is_empty() {
        digits.push(b'0');
    }
    if is_negative {
        digits.push(b'-');
    }
    digits.iter().rev().map(|&digit| char::from(digit)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_of_twenty_octets_are_written_whole() {
        let largest = [&[0][..], &[0xff; 20]].concat();
        assert_eq!(signed(&largest), "1461501637330902918203684832716283019655932542975");
        assert_eq!(signed(&[0xff; 20]), "-1");
        for (bytes, text) in [(&[][..], "0"), (&[0], "0"), (&[0, 0x80], "128"), (&[0x80], "-128"), (&[0xf6], "-10")] {
            assert_eq!(signed(bytes), text);
        }
    }

    proptest! {
        #[test]
        fn every_number_is_written_as_the_language_writes_it(number: i128) {
            prop_assert_eq!(signed(&number.to_be_bytes()), number.to_string());
        }
    }
}
