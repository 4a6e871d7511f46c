use policy::PolicySource;
use ports::{
    AddCertificate, Cached, ChangeCertificate, Clock, DeleteIotPolicy, DeleteThing, Ledger, ListObjects, PrivateCa,
    ReadCertificate, ReadIotPolicy, ReadObject, ReadRow, ReadSecureParameter, ReadThing, RegisterThing,
    RegistrationTasks, TakeRow, WriteObject,
};

use crate::{Config, authorities::Authorities};

/// Which adapters the service runs on.
pub trait Ports: Send + Sync + 'static {
    /// Templates, policies, and the input of tasks.
    type Objects: ReadObject + ListObjects + WriteObject + Clone;
    /// What was issued, and deletions that are under way.
    type Ledger: Ledger + ReadRow + TakeRow;
    /// The private keys of CAs.
    type Parameters: ReadSecureParameter;
    /// AWS IoT.
    type Iot: ReadThing
        + DeleteThing
        + ReadCertificate
        + AddCertificate
        + ChangeCertificate
        + ReadIotPolicy
        + DeleteIotPolicy
        + RegisterThing
        + RegistrationTasks;
    /// AWS Private CA.
    type PrivateCas: PrivateCa;
    /// The time.
    type Clock: Clock;
}

/// The adapters themselves.
pub struct Adapters<P: Ports> {
    /// Templates, policies, and the input of tasks.
    pub objects: P::Objects,
    /// What was issued, and deletions that are under way.
    pub ledger: P::Ledger,
    /// The private keys of CAs.
    pub parameters: P::Parameters,
    /// AWS IoT.
    pub iot: P::Iot,
    /// AWS Private CA.
    pub private_cas: P::PrivateCas,
    /// The time.
    pub clock: P::Clock,
}

/// Configuration, adapters, and what is kept between requests.
pub struct Service<P: Ports> {
    pub(crate) config: Config,
    pub(crate) policies: Cached<PolicySource<P::Objects>>,
    pub(crate) authorities: Authorities,
    pub(crate) objects: P::Objects,
    pub(crate) ledger: P::Ledger,
    pub(crate) parameters: P::Parameters,
    pub(crate) iot: P::Iot,
    pub(crate) private_cas: P::PrivateCas,
    pub(crate) clock: P::Clock,
}

impl<P: Ports> Service<P> {
    /// A service with empty caches.
    #[must_use]
    pub fn new(config: Config, adapters: Adapters<P>) -> Self {
        let Adapters { objects, ledger, parameters, iot, private_cas, clock } = adapters;
        let reserved = config.key_secret.rsplit_once('/').map_or(&*config.key_secret, |(path, _)| path).to_owned();
        Self {
            policies: Cached::new(PolicySource::new(objects.clone(), "policies/".into(), reserved)),
            authorities: Authorities::default(),
            objects,
            ledger,
            parameters,
            iot,
            private_cas,
            clock,
            config,
        }
    }

    /// Fills the caches. What fails here is tried again by the first request that needs it.
    pub async fn prefetch(&self) {
        ports::prefetch(async {
            if let Err(fault) = self.policies.get(&self.clock).await {
                tracing::warn!(error = ports::chain(&fault), "policies not prefetched");
            }
        })
        .await;
    }
}
