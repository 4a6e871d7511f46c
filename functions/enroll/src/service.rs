use issuer::PublicKeys;
use policy::PolicySource;
use ports::{
    Cached, Clock, Count, FolderSource, Ledger, ListObjects, PostWebhook, ReadObject, ReadRow, ReadSecret,
    ReplaceEnded, SendMail, SendSms, TakeRow,
};
use step::Registrar;

use crate::{Config, channel::Channel, directory::SubjectFiles, pace::Pace, shared_key::SharedKey};

/// Which adapters the service runs on.
pub trait Ports: Send + Sync + 'static {
    /// Subjects, policies, what is known of the step-ca, and the issuer's public keys.
    type Objects: ReadObject + ListObjects + Clone;
    /// The provisioner's key, and the key of codes.
    type Secrets: ReadSecret + Clone;
    /// Open codes, counters, and issued one-time tokens.
    type Ledger: Ledger + ReplaceEnded + Count + ReadRow + TakeRow;
    /// Short messages.
    type Sms: SendSms;
    /// Mail.
    type Mail: SendMail;
    /// The webhook.
    type Webhook: PostWebhook;
    /// The time.
    type Clock: Clock;
}

/// The adapters themselves.
pub struct Adapters<P: Ports> {
    /// Subjects, policies, what is known of the step-ca, and the issuer's public keys.
    pub objects: P::Objects,
    /// The provisioner's key, and the key of codes.
    pub secrets: P::Secrets,
    /// Open codes, counters, and issued one-time tokens.
    pub ledger: P::Ledger,
    /// Short messages.
    pub sms: P::Sms,
    /// Mail, where the deployment sends any.
    pub mail: Option<P::Mail>,
    /// The webhook, where the deployment has one.
    pub webhook: Option<P::Webhook>,
    /// The time.
    pub clock: P::Clock,
}

/// Configuration, adapters, and what is kept between requests.
pub struct Service<P: Ports> {
    pub(crate) config: Config,
    pub(crate) registrar: Registrar<P::Objects, P::Secrets>,
    pub(crate) directory: Cached<FolderSource<P::Objects, SubjectFiles>>,
    pub(crate) policies: Cached<PolicySource<P::Objects>>,
    pub(crate) public_keys: PublicKeys<P::Objects>,
    pub(crate) code_key: Cached<SharedKey<P::Secrets>>,
    pub(crate) pace: Pace,
    pub(crate) ledger: P::Ledger,
    pub(crate) sms: P::Sms,
    pub(crate) mail: Option<P::Mail>,
    pub(crate) webhook: Option<P::Webhook>,
    pub(crate) clock: P::Clock,
}

impl<P: Ports> Service<P> {
    /// A service with empty caches.
    #[must_use]
    pub fn new(config: Config, adapters: Adapters<P>) -> Self {
        let Adapters { objects, secrets, ledger, sms, mail, webhook, clock } = adapters;
        let reserved = config.reserved_path().to_owned();
        let code_key = SharedKey::new(secrets.clone(), config.code_key_secret.clone(), |text| Some(text.into()));
        Self {
            directory: Cached::new(FolderSource::new(objects.clone(), "subjects/".into(), SubjectFiles)),
            policies: Cached::new(PolicySource::new(objects.clone(), "policies/".into(), reserved)),
            public_keys: PublicKeys::new(objects.clone()),
            code_key: Cached::new(code_key),
            pace: Pace::new(config.grid),
            registrar: Registrar::new(config.registrar.clone(), objects, secrets),
            ledger,
            sms,
            mail,
            webhook,
            clock,
            config,
        }
    }

    /// Fills the caches, all at once. What fails here is tried again by the first request that needs it.
    pub async fn prefetch(&self) {
        let clock = &self.clock;
        ports::prefetch(async {
            let directory = async { self.directory.get(clock).await.map(|_| ()) };
            let policies = async { self.policies.get(clock).await.map(|_| ()) };
            let public_keys = async { self.public_keys.live(clock).await.map(|_| ()) };
            let code_key = async { self.code_key.get(clock).await.map(|_| ()) };
            let registrar = self.registrar.prefetch(clock);
            let webhook = async {
                match &self.webhook {
                    Some(webhook) => webhook.prepare().await,
                    None => Ok(()),
                }
            };
            let loaded = tokio::join!(directory, policies, public_keys, code_key, registrar, webhook);
            let all = [
                ("directory", loaded.0),
                ("policies", loaded.1),
                ("public_keys", loaded.2),
                ("code_key", loaded.3),
                ("registrar", loaded.4),
                ("webhook_key", loaded.5),
            ];
            for (what, loaded) in all {
                if let Err(fault) = loaded {
                    tracing::warn!(what, error = ports::chain(&fault), "not prefetched");
                }
            }
        })
        .await;
    }

    /// Whether the deployment has this channel. Short messages it always has.
    pub(crate) const fn has(&self, channel: Channel) -> bool {
        match channel {
            Channel::Sms => true,
            Channel::Mail => self.mail.is_some(),
            Channel::Webhook => self.webhook.is_some(),
        }
    }
}
