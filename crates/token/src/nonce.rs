use protocol::{Random, compact};
use serde::{Deserialize, Serialize};

use crate::{
    KeySet, PublicKey, SigningKey, TokenRefusal, base64url,
    jws::{self, Kind, Verified},
};

const NONCE_BYTES: usize = 16;

/// What the issuer answers to a client that begins: signed, so that the client knows whose PEM to sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NonceClaims {
    /// The client's, as it sent it.
    pub client_id: String,
    /// 16 random bytes in base64url.
    pub nonce: String,
    /// The client's, as it sent it.
    pub state: String,
}

/// A nonce whose signature was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedNonce<'a> {
    /// What it says.
    pub claims: NonceClaims,
    /// The key that signed it.
    pub issuer: &'a PublicKey,
    /// The host that the issuer is asked at. A client that asks at another one talks to somebody who passes its request on, and
    /// who would get the token that its signature is for.
    pub host: Option<String>,
}

impl NonceClaims {
    /// A new nonce for a client.
    #[must_use]
    pub fn new(client_id: String, state: String, random: &dyn Random) -> Self {
        let mut bytes = [0; NONCE_BYTES];
        random.fill(&mut bytes);
        Self { client_id, nonce: base64url::encode(bytes), state }
    }

    /// Signs them: a compact JWS of a `typ` of its own, so that it is no token. `host` is where the issuer is asked at, where that is
    /// known.
    #[must_use]
    pub fn sign(&self, host: Option<&str>, key: &SigningKey) -> String {
        jws::sign(self, Kind::Nonce, host, key)
    }

    /// For a client: the issuer's answer, and the key that signed it. A nonce of another form is refused, so that an ssh key
    /// never signs a text of the issuer's choice.
    ///
    /// Not checked: that `client_id` and `state` are the client's own, and that the issuer is the one that it asked: see
    /// [`SignedNonce::host`].
    ///
    /// # Errors
    /// As [`crate::verify`], up to the claims.
    pub fn verify<'a>(jws: &str, keys: &'a KeySet) -> Result<SignedNonce<'a>, TokenRefusal> {
        let Verified::<Self> { claims, key, host } = jws::verify(jws, Kind::Nonce, keys)?;
        let is_nonce = compact::decode(&claims.nonce).is_some_and(|nonce| nonce.len() == NONCE_BYTES);
        if is_nonce { Ok(SignedNonce { claims, issuer: key, host }) } else { Err(TokenRefusal::WrongClaims) }
    }
}

/// What the client's ssh key signs: the nonce's text, then the PEM of the key that signed the nonce.
///
/// So a signature that was made under another issuer's key is worth nothing for this one.
#[must_use]
pub fn signed_bytes(nonce: &str, issuer: &PublicKey) -> Vec<u8> {
    (nonce.to_owned() + &issuer.to_pem()).into_bytes()
}
