//! The JWE (RFC 7516) in which `step` keeps a provisioner's key: `PBES2-HS256+A128KW` (RFC 7518 section 4.8), with `A256GCM` or
//! `A128GCM` (section 5.3).

use std::num::NonZeroU32;

use aws_lc_rs::{
    aead::{AES_128_GCM, AES_256_GCM, Aad, Algorithm, LessSafeKey, Nonce, UnboundKey},
    key_wrap::{AES_128, AesKek, KeyWrap as _},
    pbkdf2,
};
use protocol::{Secret, compact};
use serde::Deserialize;

use crate::KeyError;

const ALGORITHM: &str = "PBES2-HS256+A128KW";

/// RFC 7518 section 4.8.1.2 recommends 1000 at least; `step` takes 100 000, and later ones 600 000. More than the last would be a
/// way to keep a machine busy for minutes.
const ITERATIONS: std::ops::RangeInclusive<u32> = 1000..=10_000_000;

/// RFC 7518 section 4.8.1.1: 8 octets or more. `step` takes 16.
const SALT_OCTETS: std::ops::RangeInclusive<usize> = 8..=128;

/// What is encrypted under its own key, each part in base64url but the last, which is what the header stands for.
struct Parts<'a> {
    protected: &'a str,
    encrypted_key: &'a str,
    iv: &'a str,
    ciphertext: &'a str,
    tag: &'a str,
}

/// The protected header. A member beyond these could change what the others mean (RFC 7516 section 4.1.13, `crit`; `zip`).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    enc: String,
    p2c: u32,
    p2s: String,
    #[serde(rename = "cty")]
    _content: Option<String>,
    #[serde(rename = "kid")]
    _kid: Option<String>,
    #[serde(rename = "typ")]
    _kind: Option<String>,
}

/// The JSON serialization (RFC 7516 section 7.2), flattened or general of one recipient, with all of the header protected.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Json<'a> {
    #[serde(borrow)]
    protected: &'a str,
    #[serde(borrow)]
    encrypted_key: Option<&'a str>,
    #[serde(borrow)]
    recipients: Option<Vec<Recipient<'a>>>,
    iv: &'a str,
    ciphertext: &'a str,
    tag: &'a str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Recipient<'a> {
    encrypted_key: &'a str,
}

impl<'a> Parts<'a> {
    fn read(jwe: &'a str) -> Option<Self> {
        if !jwe.starts_with('{') {
            let [protected, encrypted_key, iv, ciphertext, tag] = compact::split(jwe)?;
            return Some(Self { protected, encrypted_key, iv, ciphertext, tag });
        }
        let Json { protected, encrypted_key, recipients, iv, ciphertext, tag } = serde_json::from_str(jwe).ok()?;
        let encrypted_key = match (encrypted_key, recipients.as_deref()) {
            (Some(key), None) => key,
            (None, Some([recipient])) => recipient.encrypted_key,
            _ => return None,
        };
        Some(Self { protected, encrypted_key, iv, ciphertext, tag })
    }
}

/// Decrypts it.
pub(crate) fn decrypt(jwe: &str, password: &[u8]) -> Result<Secret<Vec<u8>>, KeyError> {
    let parts = Parts::read(jwe).ok_or(KeyError::MalformedJwe)?;
    let header: Header = compact::object(parts.protected).ok_or(KeyError::UnacceptedEncryption)?;
    let algorithm = match (header.alg.as_str(), header.enc.as_str()) {
        (ALGORITHM, "A256GCM") => &AES_256_GCM,
        (ALGORITHM, "A128GCM") => &AES_128_GCM,
        _ => return Err(KeyError::UnacceptedEncryption),
    };
    let decode = |part| compact::decode(part).ok_or(KeyError::MalformedJwe);
    let (salt, wrapped, iv) = (decode(&header.p2s)?, decode(parts.encrypted_key)?, decode(parts.iv)?);
    let (ciphertext, tag) = (decode(parts.ciphertext)?, decode(parts.tag)?);
    let iv: [u8; 12] = iv.try_into().map_err(|_| KeyError::MalformedJwe)?;
    let is_of_size = SALT_OCTETS.contains(&salt.len()) && wrapped.len() == algorithm.key_len() + 8 && tag.len() == 16;
    if !is_of_size {
        return Err(KeyError::MalformedJwe);
    }
    let iterations = Some(header.p2c).filter(|count| ITERATIONS.contains(count)).and_then(NonZeroU32::new);
    let iterations = iterations.ok_or(KeyError::UnacceptedIterations)?;
    let key = unwrap(&wrapped, &salt, iterations, password)?;
    open(algorithm, &key, iv, parts.protected, &ciphertext, &tag)
}

/// The key of the content, under one that is derived from the password.
fn unwrap(wrapped: &[u8], salt: &[u8], iterations: NonZeroU32, password: &[u8]) -> Result<Secret<Vec<u8>>, KeyError> {
    // RFC 7518 section 4.8.1.1.
    let salt = [ALGORITHM.as_bytes(), &[0], salt].concat();
    let mut derived = [0; 16];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, &salt, password, &mut derived);
    let derived = Secret::new(derived);
    let key = AesKek::new(&AES_128, derived.expose()).map_err(|_| KeyError::Cryptography)?;
    let mut unwrapped = vec![0; wrapped.len()];
    let length = key.unwrap(wrapped, &mut unwrapped).map(|key| key.len());
    let mut unwrapped = Secret::new(unwrapped);
    let length = length.map_err(|_| KeyError::WrongPassword)?;
    let mut key = unwrapped.take();
    key.truncate(length);
    Ok(Secret::new(key))
}

fn open(
    algorithm: &'static Algorithm,
    key: &Secret<Vec<u8>>,
    iv: [u8; 12],
    protected: &str,
    ciphertext: &[u8],
    tag: &[u8],
) -> Result<Secret<Vec<u8>>, KeyError> {
    let key = UnboundKey::new(algorithm, key.expose()).map(LessSafeKey::new).map_err(|_| KeyError::Cryptography)?;
    let mut text = [ciphertext, tag].concat();
    let opened = key.open_in_place(Nonce::assume_unique_for_key(iv), Aad::from(protected), &mut text);
    let length = opened.map(|text| text.len());
    let mut text = Secret::new(text);
    let length = length.map_err(|_| KeyError::WrongPassword)?;
    let mut bytes = text.take();
    bytes.truncate(length);
    Ok(Secret::new(bytes))
}
