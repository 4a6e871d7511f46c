//! Compact JWE (RFC 7516 section 7.1) with one content encryption, `A256GCM` (RFC 7518 section 5.3), and two ways to
//! agree on its key: `RSA-OAEP-256` (section 4.3) for requests, `dir` (section 4.5) for answers.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    rsa::OAEP_SHA256_MGF1SHA256,
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::{
    compact::{decode, encode_json, object, split},
    error::ClientError,
    jwk::Jwk,
    name::KeyId,
    random::{Random, array},
    secret::{Key256, Secret},
    server_key::ServerKey,
};

const IV_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

/// The protected header of a request: exactly these members.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestHeader {
    alg: String,
    enc: String,
    cty: String,
    kid: KeyId,
}

/// The protected header of an answer: exactly these members.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswerHeader {
    alg: String,
    enc: String,
}

impl RequestHeader {
    fn to(kid: KeyId) -> Self {
        Self { alg: "RSA-OAEP-256".into(), enc: "A256GCM".into(), cty: "JWT".into(), kid }
    }

    fn is_accepted(&self) -> bool {
        self.alg == "RSA-OAEP-256" && self.enc == "A256GCM" && self.cty == "JWT"
    }
}

impl AnswerHeader {
    fn new() -> Self {
        Self { alg: "dir".into(), enc: "A256GCM".into() }
    }

    fn is_accepted(&self) -> bool {
        self.alg == "dir" && self.enc == "A256GCM"
    }
}

/// A request that was parsed and not yet decrypted.
pub(crate) struct Envelope {
    kid: KeyId,
    encrypted_key: Vec<u8>,
    sealed: Sealed,
}

/// Ciphertext with what authenticates it. The protected header is the additional data.
struct Sealed {
    aad: String,
    iv: [u8; IV_BYTES],
    /// Ciphertext, then tag.
    bytes: Vec<u8>,
}

impl Envelope {
    /// Parses a request; `None` where it is not a compact JWE with the one accepted header.
    pub(crate) fn parse(compact: &str) -> Option<Self> {
        let [header, key, iv, ciphertext, tag] = split(compact)?;
        let request: RequestHeader = object(header)?;
        if !request.is_accepted() {
            return None;
        }
        Some(Self {
            kid: request.kid,
            encrypted_key: decode(key)?,
            sealed: Sealed::parse(header, iv, ciphertext, tag)?,
        })
    }

    pub(crate) const fn kid(&self) -> &KeyId {
        &self.kid
    }

    /// Unwraps and decrypts; `None` whichever of the two fails.
    pub(crate) fn open(self, key: &ServerKey) -> Option<Secret<Vec<u8>>> {
        self.sealed.open(&key.unwrap_key(&self.encrypted_key))
    }
}

/// Encrypts a request to the server key under a fresh content encryption key.
pub(crate) fn seal_request(plaintext: &[u8], to: &Jwk, random: &dyn Random) -> Result<String, ClientError> {
    let recipient = to.encrypting_key()?;
    let key = Secret::new(array::<32>(random));
    let mut encrypted = vec![0; recipient.ciphertext_size()];
    let encrypted_key = recipient
        .encrypt(&OAEP_SHA256_MGF1SHA256, key.expose(), &mut encrypted, None)
        .map_err(|_| ClientError::InvalidServerKey)?;
    let header = encode_json(&RequestHeader::to(to.kid().clone()));
    Ok(seal(header, encrypted_key, plaintext, &key, random))
}

/// Encrypts an answer under the response key of its request.
///
/// The initialization vector is random: one response key encrypts at most a few answers (a replay of a request that
/// policy denies is answered again), far below the bound of SP 800-38D section 8.3.
pub(crate) fn seal_answer(plaintext: &[u8], key: &Key256, random: &dyn Random) -> String {
    seal(encode_json(&AnswerHeader::new()), &[], plaintext, key, random)
}

/// Opens an answer; `None` where it is malformed or was not sealed under this key.
pub(crate) fn open_answer(compact: &str, key: &Key256) -> Option<Secret<Vec<u8>>> {
    let [header, encrypted_key, iv, ciphertext, tag] = split(compact)?;
    let answer: AnswerHeader = object(header)?;
    if !answer.is_accepted() || !encrypted_key.is_empty() {
        return None;
    }
    Sealed::parse(header, iv, ciphertext, tag)?.open(key)
}

impl Sealed {
    fn parse(header: &str, iv: &str, ciphertext: &str, tag: &str) -> Option<Self> {
        let iv = decode(iv)?.try_into().ok()?;
        let tag = decode(tag).filter(|tag| tag.len() == TAG_BYTES)?;
        let mut bytes = decode(ciphertext)?;
        bytes.extend(tag);
        Some(Self { aad: header.to_owned(), iv, bytes })
    }

    fn open(mut self, key: &Key256) -> Option<Secret<Vec<u8>>> {
        let nonce = Nonce::assume_unique_for_key(self.iv);
        let length = aes_256_gcm(key).open_in_place(nonce, Aad::from(self.aad), &mut self.bytes).ok()?.len();
        self.bytes.truncate(length);
        Some(Secret::new(self.bytes))
    }
}

fn seal(header: String, encrypted_key: &[u8], plaintext: &[u8], key: &Key256, random: &dyn Random) -> String {
    let iv = array::<IV_BYTES>(random);
    let mut bytes = plaintext.to_vec();
    let tag = aes_256_gcm(key)
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(iv), Aad::from(&header), &mut bytes)
        .expect("a message is below AES-GCM's limit of 64 GiB");
    let mut compact = header;
    for part in [encrypted_key, &iv, &bytes, tag.as_ref()] {
        compact.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(part, &mut compact);
    }
    compact
}

fn aes_256_gcm(key: &Key256) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.expose()).expect("key is 32 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SystemRandom;

    fn sealed() -> (String, Key256) {
        let key = Secret::new([3; 32]);
        (seal_answer(b"the answer", &key, &SystemRandom), key)
    }

    #[test]
    fn an_answer_opens_under_its_own_key_alone() {
        let (compact, key) = sealed();
        assert_eq!(open_answer(&compact, &key).unwrap().expose(), b"the answer");
        assert!(open_answer(&compact, &Secret::new([4; 32])).is_none());
    }

    #[test]
    fn an_answer_with_anything_altered_does_not_open() {
        let (compact, key) = sealed();
        for (index, byte) in compact.bytes().enumerate() {
            let mut altered = compact.clone().into_bytes();
            altered[index] = if byte == b'A' { b'B' } else { b'A' };
            assert!(open_answer(&String::from_utf8(altered).unwrap(), &key).is_none(), "byte {index}");
        }
    }

    #[test]
    fn an_answer_of_another_form_does_not_open() {
        let (compact, key) = sealed();
        let [_, _, iv, ciphertext, tag] = split(&compact).unwrap();
        for header in [r#"{"alg":"dir","enc":"A256GCM","zip":"DEF"}"#, r#"{"alg":"dir","enc":"A128GCM"}"#, "{}", ""] {
            let header = BASE64_URL_SAFE_NO_PAD.encode(header);
            assert!(open_answer(&format!("{header}..{iv}.{ciphertext}.{tag}"), &key).is_none(), "{header}");
        }
        assert!(open_answer(&compact.replacen("..", ".AAAA.", 1), &key).is_none());
        assert!(open_answer(&format!("{compact}."), &key).is_none());
        assert!(open_answer("", &key).is_none());
    }
}
