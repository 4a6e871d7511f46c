use std::{net::IpAddr, sync::Arc};

use access_token::{KeySet, TokenRefusal, VerifiedToken, verify};
use ports::{Cached, Clock, Fault, ReadObject};
use protocol::KeyId;

use crate::{PublishedKeys, published::PublishedSource};

/// The issuer's public keys, kept between requests.
pub struct PublicKeys<O: ReadObject>(Cached<PublishedSource<O>>);

/// Why a token is not accepted.
#[derive(Debug)]
pub enum Unverified {
    /// It is not valid for this caller.
    Refused(TokenRefusal),
    /// It could not be verified.
    Fault(Fault),
}

impl From<Fault> for Unverified {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl<O: ReadObject> PublicKeys<O> {
    /// The keys that are published in this bucket.
    pub const fn new(objects: O) -> Self {
        Self(Cached::new(PublishedSource(objects)))
    }

    /// The keys that verify now.
    ///
    /// # Errors
    /// As [`Cached::get`].
    pub async fn live(&self, clock: &impl Clock) -> Result<KeySet, Fault> {
        Ok(self.0.get(clock).await?.0.live(clock.unix_seconds()))
    }

    /// The key that signs now.
    ///
    /// # Errors
    /// As [`Cached::get`]; [`Fault::Unusable`] where there is none.
    pub(crate) async fn signing(&self, clock: &impl Clock) -> Result<KeyId, Fault> {
        let published = self.0.get(clock).await?;
        published.0.signing(clock.unix_seconds()).cloned().ok_or(Fault::Unusable("no published key signs"))
    }

    /// Verifies a token for the caller at this address: [`access_token::verify`] under the live keys, which are loaded anew, at
    /// most once a second, for a token that names another.
    ///
    /// # Errors
    /// What does not hold, or why it could not be told.
    pub async fn verify(&self, token: &str, address: IpAddr, clock: &impl Clock) -> Result<VerifiedToken, Unverified> {
        let now = clock.unix_seconds();
        let verify = |published: Arc<(PublishedKeys, _)>| verify(token, address, &published.0.live(now), now);
        match verify(self.0.get(clock).await?) {
            Err(TokenRefusal::UnknownKey) => verify(self.0.refresh(clock).await?).map_err(Unverified::Refused),
            verified => verified.map_err(Unverified::Refused),
        }
    }
}
