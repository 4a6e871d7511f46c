use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};

use crate::{name::PoolId, secret::Secret};

/// The least that a pool may hold. Below it, 256 intervals of 16 bytes would cover too much of it at a time.
pub const MIN_POOL_BYTES: usize = 64 * 1024;

/// The most that a pool may hold: a bound on what a damaged or hostile source can make its reader allocate.
pub const MAX_POOL_BYTES: usize = 16 * 1024 * 1024;

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
        let sha256: String =
            digest(&SHA256, bytes.expose()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let id = sha256[..32].parse().expect("32 hex digits are a pool id");
        Ok(Self { bytes, id, sha256 })
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
    fn the_id_is_half_of_the_digest_and_debug_shows_no_more() {
        let pool = Pool::new(vec![b'x'; MIN_POOL_BYTES]).unwrap();
        assert!(pool.sha256().starts_with(pool.id().as_str()));
        assert_eq!(format!("{pool:?}"), format!("Pool {{ id: PoolId(\"{}\"), .. }}", pool.id()));
    }
}
