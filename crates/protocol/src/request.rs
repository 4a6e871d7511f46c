use serde::Deserialize;

use crate::{
    answer::{Answer, Denial},
    claims::{Claims, MAX_WANTS},
    error::ClientError,
    jwe, jws,
    manifest::Manifest,
    pool::{MIN_POOL_BYTES, ReadPool},
    proof::proof_key,
    random::{Random, array},
    secret::{Key256, Secret},
    verify::MAX_REQUEST_BYTES,
    want::Want,
};

/// A request, ready to be sent as `application/jose`, and what its answer will be opened with.
///
/// Each request is good for one try: the broker refuses it the second time, so a retry builds a new one.
#[derive(Debug)]
pub struct Request {
    /// The body: a compact JWE. Not secret; it can be opened by the server key alone.
    pub body: String,
    /// Opens the answer.
    pub pending: PendingAnswer,
}

/// The response key of a request under way.
#[derive(Debug)]
pub struct PendingAnswer(Key256);

impl Request {
    /// Builds a request at `now`, Unix time in seconds, for everything in `wants` or nothing.
    ///
    /// # Errors
    /// Where the pool has not the size that the manifest gives or cannot be read, the server key is not usable, or the
    /// wants are none, too many or malformed. Not checked: the pool's bytes, of which a request reads 16 KiB; the broker
    /// refuses the proof of others.
    pub fn build(
        manifest: &Manifest,
        pool: &impl ReadPool,
        wants: &[Want],
        now: u64,
        random: &dyn Random,
    ) -> Result<Self, ClientError> {
        if manifest.pool.size != pool.size() || pool.size() < MIN_POOL_BYTES as u64 {
            return Err(ClientError::PoolMismatch);
        }
        if !(1..=MAX_WANTS).contains(&wants.len()) {
            return Err(ClientError::WrongNumberOfWants);
        }
        if !wants.iter().all(Want::is_well_formed) {
            return Err(ClientError::MalformedWant);
        }
        let response_key = Secret::new(array::<32>(random));
        let claims = Claims::new(&manifest.audience, now, array(random), response_key.clone(), wants);
        let kid = jws::kid(&manifest.group, &manifest.pool.id);
        let proof_key = proof_key(pool, &claims.request_id, now, &kid, manifest.server_key.kid())
            .map_err(|error| ClientError::PoolUnreadable(error.kind()))?;
        let proof = jws::sign(kid, claims.to_json().expose(), &proof_key);
        let body = jwe::seal_request(proof.expose().as_bytes(), &manifest.server_key, random)?;
        if body.len() > MAX_REQUEST_BYTES {
            return Err(ClientError::Oversized);
        }
        Ok(Self { body, pending: PendingAnswer(response_key) })
    }
}

impl PendingAnswer {
    /// Opens the body of a 200 answer.
    ///
    /// # Errors
    /// [`ClientError::ForeignAnswer`] where it was not sealed under this request's key.
    pub fn open(&self, body: &str) -> Result<Answer, ClientError> {
        self.read(body)
    }

    /// Opens the `detail` of a 403 or 404 problem.
    ///
    /// # Errors
    /// As [`PendingAnswer::open`].
    pub fn open_denial(&self, detail: &str) -> Result<Denial, ClientError> {
        self.read(detail)
    }

    fn read<T: for<'de> Deserialize<'de>>(&self, compact: &str) -> Result<T, ClientError> {
        let json = jwe::open_answer(compact, &self.0).ok_or(ClientError::ForeignAnswer)?;
        serde_json::from_slice(json.expose()).map_err(|_| ClientError::MalformedAnswer)
    }
}
