use std::{fmt, io};

use aws_lc_rs::digest::{SHA256, digest};

use crate::{name::PoolId, random::Random, secret::Secret};

/// The least that a pool may hold: what is smaller leaks whole.
pub const MIN_POOL_BYTES: usize = 64 * 1024;

/// The most that a pool may hold: a bound on what a damaged or hostile source can make its reader allocate.
pub const MAX_POOL_BYTES: usize = 16 * 1024 * 1024;

/// Length of the intervals that proofs are made from.
pub const INTERVAL_BYTES: usize = 16;

/// Lines of a generated pool, and characters in a line without its LF.
const LINES: usize = 2048;

const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// An entropy file: the secret that client and broker share.
///
/// `Debug` shows the id alone. The bytes are wiped on drop.
pub struct Pool {
    bytes: Secret<Vec<u8>>,
    id: PoolId,
    sha256: String,
}

/// Bytes that cannot be a pool: their size is not within [`MIN_POOL_BYTES`] and [`MAX_POOL_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a pool holds 64 KiB to 16 MiB")]
pub struct InvalidPool;

impl Pool {
    /// Takes the bytes of an entropy file.
    ///
    /// # Errors
    /// [`InvalidPool`] where the size is out of bounds. Not checked: whether the bytes are random.
    pub fn new(bytes: Vec<u8>) -> Result<Self, InvalidPool> {
        let bytes = Secret::new(bytes);
        if !(MIN_POOL_BYTES..=MAX_POOL_BYTES).contains(&bytes.expose().len()) {
            return Err(InvalidPool);
        }
        let sha256 = hex::encode(digest(&SHA256, bytes.expose()));
        let id = sha256[..32].parse().expect("32 hex digits are a pool id");
        Ok(Self { bytes, id, sha256 })
    }

    /// Makes a pool: 2048 lines of 2048 characters from `[A-Za-z0-9]`, each ended by LF.
    ///
    /// It is printable for clients that address it by line. An interval of 16 characters holds 95 bits.
    ///
    /// # Panics
    /// Never: the size is within the bounds.
    #[must_use]
    pub fn generate(random: &dyn Random) -> Self {
        let mut bytes = Vec::with_capacity(LINES * (LINES + 1));
        let mut drawn = Secret::new([0; 4096]);
        let mut column = 0;
        while bytes.len() < LINES * (LINES + 1) {
            random.fill(drawn.expose_mut());
            // 248 is the largest multiple of 62 in a byte: what is above it would favour the first letters.
            for byte in drawn.expose().iter().filter(|byte| **byte < 248) {
                if bytes.len() == LINES * (LINES + 1) {
                    break;
                }
                bytes.push(ALPHABET[usize::from(*byte) % ALPHABET.len()]);
                column += 1;
                if column == LINES {
                    bytes.push(b'\n');
                    column = 0;
                }
            }
        }
        Self::new(bytes).expect("4 MiB are within the bounds")
    }

    /// The pool's name: the first half of its SHA-256. Public.
    #[must_use]
    pub const fn id(&self) -> &PoolId {
        &self.id
    }

    /// The SHA-256 of the bytes, in lower-case hex. Public.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Lends the bytes. Secret.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.bytes.expose()
    }
}

/// A pool, wherever its bytes are. A proof reads 16 KiB of them.
pub trait ReadPool {
    /// The pool's length in bytes.
    fn size(&self) -> u64;

    /// The bytes from this offset on; at least as many remain.
    ///
    /// # Errors
    /// Where they cannot be read.
    fn interval(&self, offset: u64) -> io::Result<Secret<[u8; INTERVAL_BYTES]>>;
}

impl ReadPool for Pool {
    fn size(&self) -> u64 {
        self.expose().len() as u64
    }

    fn interval(&self, offset: u64) -> io::Result<Secret<[u8; INTERVAL_BYTES]>> {
        let offset = usize::try_from(offset).ok();
        let bytes = offset.and_then(|offset| self.expose().get(offset..)?.first_chunk());
        bytes.map(|bytes| Secret::new(*bytes)).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_is_bounded_on_both_sides() {
        assert!(matches!(Pool::new(vec![0; MIN_POOL_BYTES - 1]), Err(InvalidPool)));
        assert!(matches!(Pool::new(vec![0; MAX_POOL_BYTES + 1]), Err(InvalidPool)));
        assert!(Pool::new(vec![0; MIN_POOL_BYTES]).is_ok());
    }

    #[test]
    fn a_generated_pool_is_2048_lines_of_2048_letters_and_digits() {
        let pool = Pool::generate(&crate::random::SystemRandom);
        let lines: Vec<&[u8]> = pool.expose().split_inclusive(|byte| *byte == b'\n').collect();
        assert_eq!(lines.len(), 2048);
        assert!(lines.iter().all(|line| line.len() == 2049 && line[..2048].iter().all(u8::is_ascii_alphanumeric)));
        let mut counts = [0_u32; 256];
        pool.expose().iter().for_each(|byte| counts[usize::from(*byte)] += 1);
        // 67,650 of each are expected, with a standard deviation of 258.
        assert!(ALPHABET.iter().all(|letter| (65_000..70_300).contains(&counts[usize::from(*letter)])));
        assert_ne!(pool.id(), Pool::generate(&crate::random::SystemRandom).id());
    }

    #[test]
    fn the_id_is_half_of_the_digest_and_debug_shows_no_more() {
        let pool = Pool::new(vec![b'x'; MIN_POOL_BYTES]).unwrap();
        assert!(pool.sha256().starts_with(pool.id().as_str()));
        assert_eq!(format!("{pool:?}"), format!("Pool {{ id: PoolId(\"{}\"), .. }}", pool.id()));
    }
}
