use std::io;

use aws_lc_rs::{
    digest::{Context, SHA256},
    hkdf::{HKDF_SHA256, KeyType, Salt},
};

use crate::{
    name::KeyId,
    pool::{INTERVAL_BYTES, ReadPool},
    secret::{Key256, Secret},
};

const INTERVALS: usize = 256;

/// HKDF output for one 64-bit number per interval.
struct Offsets;

impl KeyType for Offsets {
    fn len(&self) -> usize {
        INTERVALS * size_of::<u64>()
    }
}

/// Derives the key that authenticates one request from the pool.
///
/// The request id chooses the 256 intervals, so nobody can pick them out of the part of a pool that he happens to
/// hold, and the server key's id is an input, so a proof made for another server key is worth nothing here.
/// The modulo bias is below 2^-39 for the largest pool.
///
/// # Errors
/// Where the pool cannot be read.
///
/// # Panics
/// Where the pool is shorter than an interval; a pool holds 64 KiB at least.
pub(crate) fn proof_key(
    pool: &impl ReadPool,
    jti: &str,
    iat: u64,
    jws_kid: &str,
    jwe_kid: &KeyId,
) -> io::Result<Key256> {
    let ikm = format!("{jti}.{iat}.{jws_kid}.{jwe_kid}");
    let prk = Salt::new(HKDF_SHA256, b"countersign/v2/intervals").extract(ikm.as_bytes());
    let mut stream = [0; INTERVALS * size_of::<u64>()];
    prk.expand(&[b"offsets"], Offsets)
        .and_then(|okm| okm.fill(&mut stream))
        .expect("2048 bytes are within HKDF's limit of 255 blocks");

    let mut hash = Context::new(&SHA256);
    hash.update(b"countersign/v2/proof\0");
    let starts = pool.size() - (INTERVAL_BYTES as u64 - 1);
    for number in stream.chunks_exact(size_of::<u64>()) {
        let number = u64::from_be_bytes(number.try_into().expect("chunks are 8 bytes"));
        hash.update(pool.interval(number % starts)?.expose());
    }
    Ok(Secret::new(hash.finish().as_ref().try_into().expect("SHA-256 is 32 bytes")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::{MIN_POOL_BYTES, Pool};

    fn key(pool: &Pool, jti: &str, iat: u64, group: &str, kid: char) -> [u8; 32] {
        let kid = kid.to_string().repeat(43).parse().unwrap();
        *proof_key(pool, jti, iat, &format!("{group}/{}", pool.id()), &kid).unwrap().expose()
    }

    #[test]
    fn each_input_changes_the_key() {
        let pool = Pool::new((0..=255).cycle().take(MIN_POOL_BYTES + 7).collect()).unwrap();
        let other = Pool::new((1..=255).cycle().take(MIN_POOL_BYTES + 7).collect()).unwrap();
        let base = key(&pool, "j", 1, "web", 'k');
        for changed in [
            key(&other, "j", 1, "web", 'k'),
            key(&pool, "i", 1, "web", 'k'),
            key(&pool, "j", 2, "web", 'k'),
            key(&pool, "j", 1, "edge", 'k'),
            key(&pool, "j", 1, "web", 'l'),
        ] {
            assert_ne!(base, changed);
        }
    }

    #[test]
    fn one_changed_byte_in_a_hundred_of_the_pool_changes_the_key() {
        let bytes: Vec<u8> = (0..=255).cycle().take(MIN_POOL_BYTES).collect();
        let mut damaged = bytes.clone();
        damaged.iter_mut().step_by(100).for_each(|byte| *byte ^= 1);
        let (pool, damaged) = (Pool::new(bytes).unwrap(), Pool::new(damaged).unwrap());
        // The same names on both sides, so that the bytes alone differ.
        let jwe_kid = "k".repeat(43).parse().unwrap();
        let [a, b] = [&pool, &damaged].map(|pool| *proof_key(pool, "j", 1, "web/x", &jwe_kid).unwrap().expose());
        assert_ne!(a, b);
    }
}
