//! AES-256-CBC with PKCS#7 padding (NIST SP 800-38A section 6.2, RFC 5652 section 6.3), the initialization vector in front.

use aws_lc_rs::{
    cipher::{
        AES_256, DecryptingKey, DecryptionContext, EncryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey,
    },
    iv::FixedLength,
};
use subtle::{ConditionallySelectable as _, ConstantTimeEq as _, ConstantTimeGreater as _};

use crate::{
    random::{Random, array},
    secret::{Key256, Secret},
};

const BLOCK_BYTES: usize = 16;

/// Whether this is an initialization vector and one block or more.
pub(super) fn is_of_whole_blocks(payload: &[u8]) -> bool {
    payload.len() >= 2 * BLOCK_BYTES && payload.len().is_multiple_of(BLOCK_BYTES)
}

/// Decrypts, and says whether the padding was right. Where it was not, the plaintext is all that was decrypted.
///
/// The time depends on the payload's length alone.
///
/// # Panics
/// Where the payload is not of whole blocks.
pub(super) fn open(key: &Key256, payload: &[u8]) -> (Secret<Vec<u8>>, bool) {
    let (iv, ciphertext) = payload.split_first_chunk::<BLOCK_BYTES>().expect("a payload is of whole blocks");
    let context = DecryptionContext::Iv128(FixedLength::from(iv));
    let mut plaintext = Secret::new(ciphertext.to_vec());
    let decrypting = DecryptingKey::cbc(unbound(key)).expect("AES-256 has CBC");
    decrypting.decrypt(plaintext.expose_mut(), context).expect("a payload is of whole blocks");

    let last = plaintext.expose().last_chunk::<BLOCK_BYTES>().expect("a payload is of whole blocks");
    let padding = last[BLOCK_BYTES - 1];
    let mut right = !padding.ct_eq(&0) & !padding.ct_gt(&16);
    for (from_the_end, byte) in (0_u8..).zip(last.iter().rev()) {
        right &= !padding.ct_gt(&from_the_end) | byte.ct_eq(&padding);
    }
    let taken_off = u8::conditional_select(&0, &padding, right);
    let length = plaintext.expose().len() - usize::from(taken_off);
    plaintext.expose_mut().truncate(length);
    (plaintext, right.into())
}

/// Encrypts under a fresh random initialization vector.
pub(super) fn seal(key: &Key256, plaintext: &[u8], random: &dyn Random) -> Vec<u8> {
    let iv = array::<BLOCK_BYTES>(random);
    let mut ciphertext = plaintext.to_vec();
    let encrypting = PaddedBlockEncryptingKey::cbc_pkcs7(unbound(key)).expect("AES-256 has CBC");
    let context = EncryptionContext::Iv128(FixedLength::from(iv));
    encrypting.less_safe_encrypt(&mut ciphertext, context).expect("padding makes whole blocks");
    [iv.as_slice(), &ciphertext].concat()
}

fn unbound(key: &Key256) -> UnboundCipherKey {
    UnboundCipherKey::new(&AES_256, key.expose()).expect("key is 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SystemRandom;

    /// A payload that decrypts to these blocks.
    fn encrypted(key: &Key256, blocks: &[u8]) -> Vec<u8> {
        let mut payload = seal(key, blocks, &SystemRandom);
        // Without the block of padding that was added.
        payload.truncate(BLOCK_BYTES + blocks.len());
        payload
    }

    #[test]
    fn what_was_sealed_opens() {
        let key = Secret::new([7; 32]);
        for length in [0, 1, 15, 16, 17, 1000] {
            let (plaintext, padded) = open(&key, &seal(&key, &vec![b'x'; length], &SystemRandom));
            assert!(padded);
            assert_eq!(plaintext.expose().len(), length);
        }
        assert_ne!(seal(&key, b"x", &SystemRandom), seal(&key, b"x", &SystemRandom));
    }

    #[test]
    fn every_padding_is_judged_as_pkcs_7_has_it() {
        let key = Secret::new([7; 32]);
        for padding in 0..=255_u8 {
            for wrong in 0..BLOCK_BYTES {
                let mut blocks = [padding; 2 * BLOCK_BYTES];
                blocks[2 * BLOCK_BYTES - 1 - wrong] ^= 0x80;
                let last = blocks[2 * BLOCK_BYTES - 1];
                let mut tail = blocks.iter().rev().take(usize::from(last));
                let expected = (1..=16).contains(&last) && tail.all(|byte| *byte == last);
                let (plaintext, padded) = open(&key, &encrypted(&key, &blocks));
                assert_eq!(padded, expected, "{padding} {wrong}");
                let taken_off = if expected { usize::from(last) } else { 0 };
                assert_eq!(plaintext.expose().len(), 2 * BLOCK_BYTES - taken_off);
            }
        }
    }
}
