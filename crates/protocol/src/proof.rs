use std::io;

use aws_lc_rs::{
    digest::{SHA256, digest},
    hkdf::{HKDF_SHA256, KeyType, Salt},
};

use crate::{
    name::KeyId,
    pool::{INTERVAL_BYTES, ReadPool},
    secret::{Key256, Secret},
};

/// As many as HKDF has numbers for (RFC 5869 section 2.3: 255 blocks of SHA-256). The more, the larger a part of a pool
/// must be to be of use: see `docs/decisions/0010-a-thousand-intervals.md`.
const INTERVALS: usize = 1020;

/// HKDF output for one 64-bit number per interval.
struct Offsets;

impl KeyType for Offsets {
    fn len(&self) -> usize {
        INTERVALS * size_of::<u64>()
    }
}

/// Derives the key that authenticates one request from the pool.
///
/// The request id chooses the 1020 intervals. Who holds a share p of a pool can look for an id all of whose intervals he
/// holds, and finds one in p^1020 of the ids that he tries, offline. The server key's id is an input, so a proof made for
/// another server key is worth nothing here.
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
        .expect("8160 bytes are HKDF's limit of 255 blocks");

    let label = b"countersign/v2/proof\0";
    let mut input = Secret::new(Vec::with_capacity(label.len() + INTERVALS * INTERVAL_BYTES));
    input.expose_mut().extend(label);
    let starts = pool.size() - (INTERVAL_BYTES as u64 - 1);
    for number in stream.chunks_exact(size_of::<u64>()) {
        let number = u64::from_be_bytes(number.try_into().expect("chunks are 8 bytes"));
        input.expose_mut().extend(pool.interval(number % starts)?.expose());
    }
    let key = digest(&SHA256, input.expose());
    Ok(Secret::new(key.as_ref().try_into().expect("SHA-256 is 32 bytes")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::{MIN_POOL_BYTES, Pool};

    #[derive(serde::Deserialize)]
    struct Vector {
        jti: String,
        iat: u64,
        jws_kid: String,
        jwe_kid: KeyId,
        proof_key: String,
    }

    #[test]
    fn the_proof_key_is_that_of_the_vector() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors");
        let pool = Pool::new(std::fs::read(folder.join("pool.bin")).unwrap()).unwrap();
        let vector: Vector = serde_json::from_slice(&std::fs::read(folder.join("proof-key.json")).unwrap()).unwrap();
        let key = proof_key(&pool, &vector.jti, vector.iat, &vector.jws_kid, &vector.jwe_kid).unwrap();
        assert_eq!(hex::encode(key.expose()), vector.proof_key);
    }

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
