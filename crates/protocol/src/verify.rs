use std::fmt;

use crate::{
    answer::{Answer, Denial, Grant},
    error::Refusal,
    jwe::{self, Envelope},
    jws::{self, Unverified},
    name::{Group, KeyId, PoolId},
    pool::Pool,
    proof::proof_key,
    random::Random,
    secret::{Key256, Secret},
    server_key::ServerKey,
    v1,
    want::Want,
    wire::Wire,
};

/// The largest request body, in bytes. It bounds what a request can make the broker allocate.
pub const MAX_REQUEST_BYTES: usize = 16 * 1024;

/// A request of the right size and form, still encrypted.
pub struct SealedRequest(Envelope);

/// A request that was decrypted, and whose proof is still to be verified: nothing in it is to be believed.
pub struct OpenedRequest {
    kid: KeyId,
    proof: Unverified,
}

/// What a request must have been made for.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The deployment's audience.
    pub audience: &'a str,
    /// The broker's clock, Unix time in seconds.
    pub now: u64,
}

/// A request whose proof holds. [`OpenedRequest::verify`] makes one, and [`V1Request::verify`](crate::V1Request::verify).
///
/// Not checked yet: policy, and whether the request id was spent before.
pub struct VerifiedExchange {
    wire: Wire,
    group: Group,
    pool_id: PoolId,
    kid: KeyId,
    request_id: String,
    expires_at: Option<u64>,
    wants: Vec<Want>,
    response_key: Key256,
}

impl SealedRequest {
    /// Size, then strict parse.
    ///
    /// # Errors
    /// [`Refusal::Oversized`] or [`Refusal::MalformedEnvelope`].
    pub fn parse(body: &[u8]) -> Result<Self, Refusal> {
        if body.len() > MAX_REQUEST_BYTES {
            return Err(Refusal::Oversized);
        }
        let compact = str::from_utf8(body).map_err(|_| Refusal::MalformedEnvelope)?;
        Envelope::parse(compact).map(Self).ok_or(Refusal::MalformedEnvelope)
    }

    /// The server key that the request says it was encrypted to.
    #[must_use]
    pub const fn kid(&self) -> &KeyId {
        self.0.kid()
    }

    /// Unwrap, decrypt, then strict parse of what was inside.
    ///
    /// # Errors
    /// [`Refusal::UnknownKey`] where `key` is another than the request names, [`Refusal::Undecryptable`] whatever of
    /// the decryption fails, [`Refusal::MalformedProof`].
    pub fn open(self, key: &ServerKey) -> Result<OpenedRequest, Refusal> {
        let kid = self.kid().clone();
        if kid != *key.public().kid() {
            return Err(Refusal::UnknownKey);
        }
        let plaintext = self.0.open(key).ok_or(Refusal::Undecryptable)?;
        let compact = str::from_utf8(plaintext.expose()).map_err(|_| Refusal::MalformedProof)?;
        let proof = Unverified::parse(compact).ok_or(Refusal::MalformedProof)?;
        Ok(OpenedRequest { kid, proof })
    }
}

impl OpenedRequest {
    /// The group that the request says it is of.
    #[must_use]
    pub const fn claimed_group(&self) -> &Group {
        &self.proof.group
    }

    /// The pool that the request says its proof was made from.
    #[must_use]
    pub const fn claimed_pool(&self) -> &PoolId {
        &self.proof.pool_id
    }

    /// The MAC in constant time, then audience and times.
    ///
    /// # Errors
    /// [`Refusal::UnknownPool`] where `pool` is another than the request names, [`Refusal::BadProof`], then the
    /// refusals of single claims.
    pub fn verify(self, pool: &Pool, expected: Expected<'_>) -> Result<VerifiedExchange, Refusal> {
        let Unverified { group, pool_id, claims, .. } = &self.proof;
        if pool_id != pool.id() {
            return Err(Refusal::UnknownPool);
        }
        let key = proof_key(pool, &claims.request_id, claims.issued_at, &jws::kid(group, pool_id), &self.kid)
            .map_err(|_| Refusal::BadProof)?;
        if !self.proof.holds(&key) {
            return Err(Refusal::BadProof);
        }
        claims.check(expected.audience, expected.now)?;
        let Unverified { group, pool_id, claims, .. } = self.proof;
        Ok(VerifiedExchange {
            wire: Wire::V2,
            group,
            pool_id,
            kid: self.kid,
            request_id: claims.request_id,
            expires_at: Some(claims.expires_at),
            wants: claims.wants,
            response_key: claims.response_key,
        })
    }
}

impl VerifiedExchange {
    /// A request of the v1 wire, which knows no end.
    pub(crate) fn v1(
        group: Group,
        pool_id: PoolId,
        kid: KeyId,
        request_id: String,
        want: Want,
        response_key: Key256,
    ) -> Self {
        Self { wire: Wire::V1, group, pool_id, kid, request_id, expires_at: None, wants: vec![want], response_key }
    }

    /// The format of request and answer.
    #[must_use]
    pub const fn wire(&self) -> Wire {
        self.wire
    }

    /// The group whose pool the caller holds.
    #[must_use]
    pub const fn group(&self) -> &Group {
        &self.group
    }

    /// The pool that the proof was made from.
    #[must_use]
    pub const fn pool_id(&self) -> &PoolId {
        &self.pool_id
    }

    /// The server key that the request was encrypted to.
    #[must_use]
    pub const fn kid(&self) -> &KeyId {
        &self.kid
    }

    /// The `jti`, 22 characters of base64url; on the v1 wire the SHA-256 of `data`, 64 of hex. Unique in what it
    /// authenticates.
    #[must_use]
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// The request's `exp`, Unix time in seconds; a v1 request has none.
    #[must_use]
    pub const fn expires_at(&self) -> Option<u64> {
        self.expires_at
    }

    /// What the caller asks for, all of it or nothing.
    #[must_use]
    pub fn wants(&self) -> &[Want] {
        &self.wants
    }

    /// Encrypts an answer for the caller alone: the body of the response.
    ///
    /// A v1 answer is the value of the one secret that was asked for.
    ///
    /// # Panics
    /// Never: every answer serializes.
    #[must_use]
    pub fn seal(&self, answer: &Answer, random: &dyn Random) -> String {
        if let (Wire::V1, [Grant::Secret(secret)]) = (self.wire, answer.granted.as_slice()) {
            return v1::seal_answer(secret.value.expose(), &self.response_key, random);
        }
        let json = Secret::new(serde_json::to_vec(answer).expect("an answer serializes"));
        jwe::seal_answer(json.expose(), &self.response_key, random)
    }

    /// Encrypts a denial for the caller alone. (On the v1 wire nobody is told why.)
    ///
    /// # Panics
    /// Never: every denial serializes.
    #[must_use]
    pub fn seal_denial(&self, denial: Denial, random: &dyn Random) -> String {
        let json = serde_json::to_vec(&denial).expect("a denial serializes");
        jwe::seal_answer(&json, &self.response_key, random)
    }
}

impl fmt::Debug for VerifiedExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedExchange")
            .field("wire", &self.wire)
            .field("group", &self.group)
            .field("pool_id", &self.pool_id)
            .field("request_id", &self.request_id)
            .finish_non_exhaustive()
    }
}
