use x509_cert::der::{AnyRef, Decode as _, Reader as _, asn1::UintRef};

/// How a key signs a JWS (RFC 7518 section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwsAlgorithm {
    /// ECDSA over P-256 with SHA-256.
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
}

impl JwsAlgorithm {
    /// As it stands in a header (`alg`).
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
        }
    }
}

/// r and s of 32 bytes each (RFC 7518 section 3.4), of a signature in DER (RFC 3279 section 2.2.3).
pub(crate) fn fixed(signature: &[u8]) -> Option<[u8; 64]> {
    let numbers = AnyRef::from_der(signature).ok()?.sequence(|reader| {
        let (r, s): (UintRef<'_>, UintRef<'_>) = (reader.decode()?, reader.decode()?);
        Ok::<_, x509_cert::der::Error>([r.as_bytes(), s.as_bytes()])
    });
    let mut fixed = [0; 64];
    for (number, place) in numbers.ok()?.into_iter().zip(fixed.chunks_exact_mut(32)) {
        place[32_usize.checked_sub(number.len())?..].copy_from_slice(number);
    }
    Some(fixed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_numbers_are_filled_up_and_long_ones_are_refused() {
        let mut expected = [0; 64];
        (expected[31], expected[62], expected[63]) = (5, 0x80, 1);
        assert_eq!(fixed(b"\x30\x08\x02\x01\x05\x02\x03\x00\x80\x01"), Some(expected));
        let long = [&b"\x30\x26\x02\x21\x01"[..], &[0; 32], b"\x02\x01\x05"].concat();
        for bad in [&b""[..], b"\x30\x03\x02\x01\x05", b"\x30\x06\x02\x01\x85\x02\x01\x05", &long] {
            assert_eq!(fixed(bad), None, "{bad:?}");
        }
    }
}
