use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroize;

/// A value that is wiped on drop and that `Debug` elides.
///
/// Serialization writes the value: it exists to put a secret into a message that is then encrypted.
/// Not checked: copies that the caller makes of what [`Secret::expose`] lends.
#[derive(Clone)]
pub struct Secret<T: Zeroize>(T);

/// A 256-bit symmetric key.
pub type Key256 = Secret<[u8; 32]>;

impl<T: Zeroize> Secret<T> {
    /// Takes the value into custody.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// Lends the secret. Search for this name to find every place where one is used.
    pub const fn expose(&self) -> &T {
        &self.0
    }

    /// Takes the secret out of custody. Search for this name as well.
    pub fn take(&mut self) -> T
    where
        T: Default,
    {
        std::mem::take(&mut self.0)
    }

    pub(crate) const fn expose_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl Secret<Vec<u8>> {
    /// Appends bytes where they fit without a move, which would leave a copy behind; whether they did.
    pub fn append_within_capacity(&mut self, bytes: &[u8]) -> bool {
        let fits = self.0.capacity() - self.0.len() >= bytes.len();
        if fits {
            self.0.extend_from_slice(bytes);
        }
        fits
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[elided]")
    }
}

impl<T: Zeroize + Serialize> Serialize for Secret<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: Zeroize + Deserialize<'de>> Deserialize<'de> for Secret<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_elides_the_value() {
        let secret = Secret::new(String::from("hunter2"));
        assert_eq!(format!("{secret:?} {secret:#?}"), "[elided] [elided]");
    }

    #[test]
    fn bytes_are_appended_where_they_stay_in_place() {
        let mut secret = Secret::new(Vec::with_capacity(4));
        let place = secret.expose().as_ptr();
        assert!(secret.append_within_capacity(b"abc"));
        assert!(!secret.append_within_capacity(&vec![0; secret.expose().capacity()]));
        assert_eq!((secret.expose().as_slice(), secret.expose().as_ptr()), (&b"abc"[..], place));
    }
}
