use issuer::Issuer;
use policy::PolicySource;
use ports::{Cached, Clock, FolderSource, Ledger, ListObjects, ReadObject, ReadSecret, TakeRow};

use crate::{Config, rate::RateLimit, registry::KeyFiles};

/// Which adapters the service runs on.
pub trait Ports: Send + Sync + 'static {
    /// Known ssh keys, policies, and the issuer's public keys.
    type Objects: ReadObject + ListObjects + Clone;
    /// The issuer's private keys.
    type Secrets: ReadSecret;
    /// Pending nonces and issued tokens.
    type Ledger: Ledger + TakeRow;
    /// The time.
    type Clock: Clock;
}

/// The adapters themselves.
pub struct Adapters<P: Ports> {
    /// Known ssh keys, policies, and the issuer's public keys.
    pub objects: P::Objects,
    /// The issuer's private keys.
    pub secrets: P::Secrets,
    /// Pending nonces and issued tokens.
    pub ledger: P::Ledger,
    /// The time.
    pub clock: P::Clock,
}

/// Configuration, adapters, and what is kept between requests.
pub struct Service<P: Ports> {
    pub(crate) config: Config,
    pub(crate) issuer: Issuer<P::Objects, P::Secrets>,
    pub(crate) registry: Cached<FolderSource<P::Objects, KeyFiles>>,
    pub(crate) policies: Cached<PolicySource<P::Objects>>,
    pub(crate) nonces: RateLimit,
    pub(crate) attempts: RateLimit,
    pub(crate) ledger: P::Ledger,
    pub(crate) clock: P::Clock,
}

impl<P: Ports> Service<P> {
    /// A service with empty caches.
    #[must_use]
    pub fn new(config: Config, adapters: Adapters<P>) -> Self {
        let Adapters { objects, secrets, ledger, clock } = adapters;
        let reserved = config.reserved_path().to_owned();
        Self {
            registry: Cached::new(FolderSource::new(objects.clone(), "ssh-keys/".into(), KeyFiles)),
            policies: Cached::new(PolicySource::new(objects.clone(), "policies/".into(), reserved)),
            issuer: Issuer::new(config.tokens.clone(), objects, secrets),
            nonces: RateLimit::new(config.nonce_rate),
            attempts: RateLimit::new(config.nonce_rate),
            ledger,
            clock,
            config,
        }
    }

    /// Fills the caches, all at once. What fails here is tried again by the first request that needs it.
    pub async fn prefetch(&self) {
        let clock = &self.clock;
        ports::prefetch(async {
            let registry = async { self.registry.get(clock).await.map(|_| ()) };
            let policies = async { self.policies.get(clock).await.map(|_| ()) };
            if let Err(fault) = tokio::try_join!(self.issuer.prefetch(clock), registry, policies) {
                tracing::warn!(error = ports::chain(&fault), "not everything prefetched");
            }
        })
        .await;
    }
}
