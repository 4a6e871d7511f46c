use protocol::Secret;

/// How many digits a code has.
const DIGITS: usize = 8;

/// A code that the broker sent out of band.
#[derive(Clone, Debug)]
pub struct Code(Secret<String>);

impl Code {
    /// Reads a code; `None` where it is none. White space and hyphens are passed over, as they stand in messages.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let digits = text.chars().filter(|character| !character.is_whitespace() && *character != '-');
        let digits = Secret::new(digits.take(DIGITS + 1).collect::<String>());
        let is_code = digits.expose().len() == DIGITS && digits.expose().bytes().all(|byte| byte.is_ascii_digit());
        is_code.then_some(Self(digits))
    }

    /// Lends the digits. Secret.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_eight_digits_however_they_are_set() {
        for text in ["12345678", " 1234 5678\n", "1234-5678", "12 34 56 78"] {
            assert_eq!(Code::read(text).unwrap().expose(), "12345678", "{text}");
        }
        for bad in ["", "1234567", "123456789", "1234567a", "+2345678", "\u{661}2345678", "code: 12345678"] {
            assert!(Code::read(bad).is_none(), "{bad}");
        }
        assert!(!format!("{:?}", Code::read("12345678")).contains("1234"));
    }
}
