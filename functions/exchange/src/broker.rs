use std::{collections::BTreeMap, sync::Arc};

use issuer::Issuer;
use policy::PolicySource;
use ports::{AssumeRole, Cached, Clock, Fault, Generations, KeySource, Ledger, ListObjects, ReadObject, ReadSecret};
use protocol::{
    Expected, Group, KeyId, OpenedRequest, Pool, Refusal, SealedRequest, ServerKey, V1Request, VerifiedExchange,
};
use step::Registrar;

use crate::{
    Config,
    material::{Material, MaterialSource},
};

/// The groups whose material is loaded at init; that of others is loaded when they first ask.
const PREFETCHED_GROUPS: usize = 8;

/// Which adapters a broker runs on.
pub trait Ports: Send + Sync + 'static {
    /// Manifests, pools, policies, the issuer's public keys, and which step-ca there is.
    type Objects: ReadObject + ListObjects + Clone;
    /// Server keys, the issuer's private keys, that of a step-ca's provisioner, and what clients ask for.
    type Secrets: ReadSecret + Clone;
    /// Spent request ids, and issued tokens.
    type Ledger: Ledger;
    /// Role sessions.
    type Roles: AssumeRole;
    /// The time.
    type Clock: Clock;
}

/// The adapters themselves.
pub struct Adapters<P: Ports> {
    /// Manifests, pools, policies, the issuer's public keys, and which step-ca there is.
    pub objects: P::Objects,
    /// Server keys, the issuer's private keys, that of a step-ca's provisioner, and what clients ask for.
    pub secrets: P::Secrets,
    /// Spent request ids, and issued tokens.
    pub ledger: P::Ledger,
    /// Role sessions.
    pub roles: P::Roles,
    /// The time.
    pub clock: P::Clock,
}

/// Configuration, adapters, and what is kept between requests.
pub struct Broker<P: Ports> {
    pub(crate) config: Config,
    pub(crate) adapters: Adapters<P>,
    pub(crate) policies: Cached<PolicySource<P::Objects>>,
    pub(crate) issuer: Issuer<P::Objects, P::Secrets>,
    pub(crate) registrar: Registrar<P::Objects, P::Secrets>,
    keys: Cached<KeySource<P::Secrets, ServerKey>>,
    groups: BTreeMap<Group, Cached<MaterialSource<P::Objects>>>,
}

/// Why a request is not answered with what it wants.
#[derive(Debug)]
pub(crate) enum Unverified {
    /// It did not prove itself.
    Refused(Refusal),
    /// The broker could not check it.
    Fault(Fault),
}

impl From<Refusal> for Unverified {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Fault> for Unverified {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl<P: Ports> Broker<P> {
    /// A broker with empty caches.
    #[must_use]
    pub fn new(config: Config, adapters: Adapters<P>) -> Self {
        let reserved = config.reserved_path().to_owned();
        let material = |group: &Group| Cached::new(MaterialSource::new(adapters.objects.clone(), group.clone()));
        Self {
            policies: Cached::new(PolicySource::new(adapters.objects.clone(), "policies/".into(), reserved)),
            issuer: Issuer::new(config.tokens.clone(), adapters.objects.clone(), adapters.secrets.clone()),
            registrar: Registrar::new(config.step.clone(), adapters.objects.clone(), adapters.secrets.clone()),
            keys: Cached::new(KeySource::new(adapters.secrets.clone(), config.key_secret.clone())),
            groups: config.groups.iter().map(|group| (group.clone(), material(group))).collect(),
            config,
            adapters,
        }
    }

    /// Fills the caches, all at once. What fails here is tried again by the first request that needs it.
    pub async fn prefetch(self: &Arc<Self>) {
        let mut loads = tokio::task::JoinSet::new();
        let broker = Arc::clone(self);
        loads.spawn(async move { broker.keys.get(&broker.adapters.clock).await.map(|_| ()) });
        let broker = Arc::clone(self);
        loads.spawn(async move {
            let policies = broker.policies.get(&broker.adapters.clock).await;
            // Behind the policies, over their connection: most deployments have no CA.
            let registrar = broker.registrar.prefetch(&broker.adapters.clock).await;
            policies.and(registrar)
        });
        let broker = Arc::clone(self);
        loads.spawn(async move { broker.issuer.prefetch(&broker.adapters.clock).await });
        let groups: Vec<Group> = self.groups.keys().take(PREFETCHED_GROUPS).cloned().collect();
        for group in groups {
            let broker = Arc::clone(self);
            loads.spawn(async move { broker.groups[&group].get(&broker.adapters.clock).await.map(|_| ()) });
        }
        ports::prefetch(async {
            while let Some(outcome) = loads.join_next().await {
                if let Ok(Err(fault)) = outcome {
                    tracing::warn!(error = ports::chain(&fault), "nothing prefetched");
                }
            }
        })
        .await;
    }

    /// Size, parse, known key, unwrap and decrypt, known and accepted pool, MAC, audience and times.
    pub(crate) async fn verify(&self, body: &[u8]) -> Result<VerifiedExchange, Unverified> {
        let clock = &self.adapters.clock;
        let sealed = SealedRequest::parse(body)?;
        let key = match find(&*self.keys.get(clock).await?, sealed.kid()) {
            Some(key) => key,
            None => find(&*self.keys.refresh(clock).await?, sealed.kid()).ok_or(Refusal::UnknownKey)?,
        };
        let opened = sealed.open(&key)?;
        let group = self.groups.get(opened.claimed_group()).ok_or(Refusal::UnknownPool)?;
        let mut material = group.get(clock).await?;
        if accepted(&material, &opened, clock).is_none() {
            material = group.refresh(clock).await?;
        }
        let pool = accepted(&material, &opened, clock).ok_or(Refusal::UnknownPool)?;
        let expected = Expected { audience: &self.config.audience, now: clock.unix_seconds() };
        Ok(opened.verify(pool, expected)?)
    }

    /// Unwrap, decrypt, message, intervals and hash, under every live key and over every accepted pool of the v1 clients'
    /// group.
    ///
    /// The wire names no generation, so whatever is refused is tried again where there is a new one.
    pub(crate) async fn verify_v1(&self, group: &Group, request: &V1Request) -> Result<VerifiedExchange, Unverified> {
        let clock = &self.adapters.clock;
        let source = self.groups.get(group).ok_or(Refusal::UnknownPool)?;
        let verify = |keys: &Generations<ServerKey>, material: &Material| {
            let pools = material.all_accepted(clock.unix_seconds());
            request.verify(keys.iter().map(|key| &**key), group, pools, &self.config.secret_arns)
        };
        let (keys, material) = tokio::try_join!(self.keys.get(clock), source.get(clock))?;
        let refusal = match verify(&keys, &material) {
            Ok(exchange) => return Ok(exchange),
            Err(refusal) => refusal,
        };
        let (new_keys, new_material) = tokio::try_join!(self.keys.refresh(clock), source.refresh(clock))?;
        if new_keys.are(&keys) && new_material.etag == material.etag {
            return Err(refusal.into());
        }
        Ok(verify(&new_keys, &new_material)?)
    }

    /// The manifest of a group, where there is such a group.
    pub(crate) async fn material(&self, group: &str) -> Option<Result<Arc<Material>, Fault>> {
        let group = self.groups.iter().find(|(name, _)| name.as_str() == group)?.1;
        Some(group.get(&self.adapters.clock).await)
    }
}

fn find(keys: &Generations<ServerKey>, kid: &KeyId) -> Option<Arc<ServerKey>> {
    keys.iter().find(|key| key.public().kid() == kid).map(Arc::clone)
}

fn accepted<'a>(material: &'a Material, opened: &OpenedRequest, clock: &impl Clock) -> Option<&'a Pool> {
    material.accepted(opened.claimed_pool(), clock.unix_seconds())
}
