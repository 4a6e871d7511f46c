use std::{fmt, str::FromStr};

/// The mode of a file, in octal: no bits but those of reading and writing, and none of the world's writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileMode(u32);

/// Not a mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the mode of a file: three or four octal digits, as 0400, without execution and without writing by others")]
pub struct InvalidFileMode;

impl FileMode {
    /// The owner may read: `0400`.
    pub const OWNER_READS: Self = Self(0o400);

    /// The bits.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }
}

impl fmt::Display for FileMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl FromStr for FileMode {
    type Err = InvalidFileMode;

    fn from_str(text: &str) -> Result<Self, InvalidFileMode> {
        let octal = (3..=4).contains(&text.len()) && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
        let bits = if octal { u32::from_str_radix(text, 8).ok() } else { None };
        bits.filter(|bits| bits & !0o664 == 0 && bits & 0o400 != 0).map(Self).ok_or(InvalidFileMode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_let_the_owner_read_and_others_not_write() {
        for (text, bits) in [("0400", 0o400), ("600", 0o600), ("0640", 0o640), ("0664", 0o664), ("0444", 0o444)] {
            assert_eq!(text.parse::<FileMode>().unwrap().bits(), bits);
        }
        for bad in ["", "0", "0000", "0200", "0666", "0700", "4400", "0o400", "rw", "00400", "+400", "0888"] {
            assert_eq!(bad.parse::<FileMode>(), Err(InvalidFileMode), "{bad}");
        }
    }
}
