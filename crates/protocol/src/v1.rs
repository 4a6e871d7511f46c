//! The v1 wire: what clients of the older service send to `POST /verify`, and what they are answered.
//!
//! `docs/protocol-v1.md` specifies it. The wire has no MAC, no request id and no time, and its cipher is malleable, so a
//! broker must not let a caller learn how far a request came: [`V1Request::verify`] does the same work whatever is wrong.

mod cipher;
mod intervals;
mod message;

use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    digest::{SHA256, digest},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Deserialize;

use self::{intervals::Intervals, message::Message};
use crate::{
    error::Refusal,
    name::Group,
    pool::Pool,
    random::{Random, SystemRandom, array},
    secret::{Key256, Secret},
    server_key::ServerKey,
    verify::VerifiedExchange,
};

/// The answer to everything that is not granted, whatever the reason.
pub const V1_REFUSAL: &str = r#"{"message":"not found"}"#;

/// Length of the payload that is decrypted in the place of one that cannot be.
const STAND_IN_BYTES: usize = 512;

/// A request of a v1 client, of any form: what is wrong with one that cannot be read is told once the work is done.
pub struct V1Request {
    /// RSA-OAEP (SHA-1) of the text that the message's key is the SHA-256 of.
    encrypted_text: Vec<u8>,
    /// Initialization vector and AES-256-CBC ciphertext of the message.
    payload: Vec<u8>,
    malformed: Option<Refusal>,
}

/// The body, as it stands on the wire: each member is the hex of the base64 of bytes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    data: String,
    payload: String,
}

impl V1Request {
    /// Reads a body. Never fails: in the place of what is not of the right form stands something that cannot be granted.
    #[must_use]
    pub fn parse(body: &[u8]) -> Self {
        Self::read(body).unwrap_or_else(|| Self::stand_in(Refusal::MalformedEnvelope))
    }

    /// In the place of a body larger than [`MAX_REQUEST_BYTES`](crate::MAX_REQUEST_BYTES).
    #[must_use]
    pub fn oversized() -> Self {
        Self::stand_in(Refusal::Oversized)
    }

    fn stand_in(refusal: Refusal) -> Self {
        let payload = array::<STAND_IN_BYTES>(&SystemRandom).to_vec();
        Self { encrypted_text: Vec::new(), payload, malformed: Some(refusal) }
    }

    fn read(body: &[u8]) -> Option<Self> {
        // serde takes a list for a structure as well.
        if !body.trim_ascii_start().starts_with(b"{") {
            return None;
        }
        let Body { data, payload } = serde_json::from_slice(body).ok()?;
        let [encrypted_text, payload] =
            [data, payload].map(|text| BASE64_STANDARD.decode(hex::decode(text).ok()?).ok());
        let payload = payload.filter(|payload| cipher::is_of_whole_blocks(payload))?;
        Some(Self { encrypted_text: encrypted_text?, payload, malformed: None })
    }

    /// Unwrap under each live key, decrypt, padding, form of the message, intervals, hash over each pool that is accepted.
    ///
    /// The wire names neither key nor pool, so all of them are tried. Every step is done whether or not one before it
    /// failed; the same number of bytes is hashed, and comparisons are in constant time. What differs is what the sender
    /// knows himself (how long his payload is, whether `data` is a number below the key's modulus), and the microseconds in
    /// which a message is parsed.
    ///
    /// `arns` is what the ARNs of this deployment's secrets begin with; empty where no ARN is to be understood.
    ///
    /// # Errors
    /// The first thing that was wrong.
    pub fn verify<'a>(
        &self,
        keys: impl IntoIterator<Item = &'a ServerKey>,
        group: &Group,
        pools: impl IntoIterator<Item = &'a Pool>,
        arns: &str,
    ) -> Result<VerifiedExchange, Refusal> {
        let (mut kid, mut message_key) = (None, Secret::new(array(&SystemRandom)));
        for key in keys {
            if let Some(found) = key.unwrap_text(&self.encrypted_text) {
                (kid, message_key) = (Some(key.public().kid()), found);
            }
        }

        let (plaintext, padded) = cipher::open(&message_key, &self.payload);
        let stand_in = Message::stand_in();
        let Message { hash, intervals, want } = Message::parse(plaintext.expose(), arns).unwrap_or(stand_in);

        let (mut fit, mut pool_id) = (false, None);
        for pool in pools {
            let placed = intervals.within(pool);
            let digest = placed.as_ref().unwrap_or(&Intervals::none()).digest(pool);
            let holds = verify_slices_are_equal(&digest, &hash).is_ok();
            fit |= placed.is_some();
            if placed.is_some() && holds && pool_id.is_none() {
                pool_id = Some(pool.id().clone());
            }
        }

        if let Some(malformed) = self.malformed {
            return Err(malformed);
        }
        let kid = kid.filter(|_| padded).ok_or(Refusal::Undecryptable)?.clone();
        let want = want.ok_or(Refusal::MalformedProof)?;
        if !fit {
            return Err(Refusal::UnfitIntervals);
        }
        let pool_id = pool_id.ok_or(Refusal::BadProof)?;
        Ok(VerifiedExchange::v1(group.clone(), pool_id, kid, self.id(), want, message_key))
    }

    /// What can be spent once: the SHA-256 of the RSA ciphertext, in hex. Who does not know the text inside cannot make
    /// another ciphertext of it; the payload, which he can alter, is no part of it.
    fn id(&self) -> String {
        hex::encode(digest(&SHA256, &self.encrypted_text))
    }
}

/// The body of an answer: a secret's value under the message's key.
pub(crate) fn seal_answer(value: &[u8], key: &Key256, random: &dyn Random) -> String {
    let sealed = cipher::seal(key, value, random);
    format!(r#"{{"message":"{}"}}"#, hex::encode(BASE64_STANDARD.encode(sealed)))
}
