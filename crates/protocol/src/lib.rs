//! The Countersign exchange: bytes in, typed values out.
//!
//! A request is a nested JWT: a JWE (RFC 7516) to the broker's RSA key around a JWS (RFC 7515) whose HMAC key is
//! derived from an entropy file, the *pool*, that client and broker both hold. The wire format is specified in
//! `docs/protocol.md`.
//!
//! * Client: [`Request::build`] makes the request, [`PendingAnswer`] opens what comes back.
//! * Broker: [`SealedRequest::parse`], [`SealedRequest::open`], [`OpenedRequest::verify`], in that order. Each step
//!   takes the value that only the step before makes, and the last one makes a [`VerifiedExchange`].
//! * Broker, for clients of the older service: [`V1Request::parse`], [`V1Request::verify`], the only other source of one.
//!
//! The crate does no I/O and reads no clock: the time is a parameter, and so is the randomness of what the client
//! chooses. Cryptography is AWS-LC's throughout.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod alt_name;
mod answer;
mod claims;
pub mod compact;
mod csr_digest;
mod enrollment;
mod error;
mod jwe;
mod jwk;
mod jws;
mod manifest;
mod name;
mod pool;
mod proof;
mod random;
mod request;
mod secret;
mod server_key;
mod subject_name;
mod v1;
mod verify;
mod want;
mod wire;

pub use alt_name::{AltName, MAX_ALT_NAMES};
pub use answer::{AccessToken, Answer, AwsCredentials, Denial, DenialCode, Grant, SecretGrant, SecretValue, TokenType};
pub use claims::{LEEWAY_SECONDS, MAX_LIFETIME_SECONDS, MAX_WANTS};
pub use csr_digest::CsrDigest;
pub use enrollment::{CaAddress, EnrollmentToken};
pub use error::{ClientError, Refusal};
pub use jwk::Jwk;
pub use manifest::{Manifest, PoolEntry, PreviousPool};
pub use name::{Group, InvalidName, KeyId, PoolId};
pub use pool::{INTERVAL_BYTES, InvalidPool, MAX_POOL_BYTES, MIN_POOL_BYTES, Pool, ReadPool};
pub use random::{Random, SystemRandom};
pub use request::{PendingAnswer, Request};
pub use secret::{Key256, Secret};
pub use server_key::{InvalidKey, KeySize, ServerKey};
pub use subject_name::SubjectName;
pub use v1::{V1_REFUSAL, V1Request};
pub use verify::{Expected, MAX_REQUEST_BYTES, OpenedRequest, SealedRequest, VerifiedExchange};
pub use want::Want;
pub use wire::Wire;
