use std::{net::IpAddr, sync::Arc};

use access_token::{Claims, Network, PublicKey, Scope, SigningKey};
use ports::{
    Cached, Clock, ConfigError, Fault, Generations, KeySource, Ledger, PemKey, ReadObject, ReadSecret, Row, Settings,
    SpendError,
};
use protocol::{Random, Secret};

use crate::PublicKeys;

/// What a deployment decides of its tokens.
#[derive(Clone, Debug)]
pub struct Config {
    /// `AUDIENCE`: the `iss` of every token.
    pub issuer: String,
    /// `TOKEN_KEY_SECRET`: name of the signing key's secret.
    pub key_secret: String,
    /// `TOKEN_SECONDS`: how long a token lives of which nothing else is said.
    pub token_seconds: u32,
    /// `MAX_TOKEN_SECONDS`: how long any token lives at most. How long a replaced key is kept hangs on it.
    pub max_token_seconds: u32,
    /// `AUDIT_DAYS`: how long the ledger remembers a token after its end.
    pub audit_days: u64,
}

/// The issuer of tokens: its keys, and its limits.
pub struct Issuer<O: ReadObject, S: ReadSecret> {
    config: Config,
    /// The public keys.
    pub public_keys: PublicKeys<O>,
    signing_keys: Cached<KeySource<S, Signing>>,
}

/// A token that is wanted, and that somebody may have: policy, or IAM, was asked.
#[derive(Clone, Debug)]
pub struct Order<'a> {
    /// Its `sub`.
    pub subject: &'a str,
    /// Its `ipn`.
    pub network: Network,
    /// Its `scope`.
    pub scope: Scope,
    /// How long it is to live. The deployment's limit holds in any case.
    pub seconds: u32,
    /// Who allowed it: the policies, or `iam`.
    pub policies: &'a str,
    /// Where it was asked for, where that is known.
    pub source_ip: Option<IpAddr>,
    /// The invocation's id.
    pub request_id: &'a str,
}

/// A token, and what it says.
#[derive(Debug)]
pub struct Issued {
    /// The token.
    pub token: Secret<String>,
    /// What it says.
    pub claims: Claims,
}

struct Signing(SigningKey);

impl PemKey for Signing {
    fn from_pem(pem: &str) -> Option<Self> {
        SigningKey::from_pem(pem).ok().map(Self)
    }
}

/// A private key that signs now.
pub struct Signer(Arc<Signing>);

impl Signer {
    /// The key.
    #[must_use]
    pub fn key(&self) -> &SigningKey {
        &self.0.0
    }
}

impl Config {
    /// Reads the settings.
    ///
    /// # Errors
    /// The first variable that is missing or not valid.
    pub fn read(settings: Settings<'_>) -> Result<Self, ConfigError> {
        let config = Self {
            issuer: settings.required("AUDIENCE")?,
            key_secret: settings.required("TOKEN_KEY_SECRET")?,
            token_seconds: settings.parsed("TOKEN_SECONDS")?,
            max_token_seconds: settings.parsed("MAX_TOKEN_SECONDS")?,
            audit_days: settings.parsed("AUDIT_DAYS")?,
        };
        match (config.token_seconds, config.max_token_seconds) {
            (_, 0) => Err(ConfigError("MAX_TOKEN_SECONDS")),
            (usual, longest) if usual == 0 || usual > longest => Err(ConfigError("TOKEN_SECONDS")),
            _ => Ok(config),
        }
    }
}

impl<O: ReadObject, S: ReadSecret> Issuer<O, S> {
    /// An issuer with empty caches.
    pub fn new(config: Config, objects: O, secrets: S) -> Self {
        let signing_keys = Cached::new(KeySource::new(secrets, config.key_secret.clone()));
        Self { config, public_keys: PublicKeys::new(objects), signing_keys }
    }

    /// How long any token lives at most, in seconds.
    pub const fn max_token_seconds(&self) -> u32 {
        self.config.max_token_seconds
    }

    /// Fills the caches.
    ///
    /// # Errors
    /// What failed first.
    pub async fn prefetch(&self, clock: &impl Clock) -> Result<(), Fault> {
        self.signer(clock).await.map(|_| ())
    }

    /// The private key that signs now.
    ///
    /// # Errors
    /// Where public or private keys cannot be had, or do not belong together.
    pub async fn signer(&self, clock: &impl Clock) -> Result<Signer, Fault> {
        let kid = self.public_keys.signing(clock).await?;
        let find =
            |keys: Arc<Generations<Signing>>| keys.iter().find(|key| *key.0.public().kid() == kid).map(Arc::clone);
        let key = match find(self.signing_keys.get(clock).await?) {
            Some(key) => Some(key),
            None => find(self.signing_keys.refresh(clock).await?),
        };
        key.map(Signer).ok_or(Fault::Unusable("the published key that signs has no private half"))
    }

    /// The public half of a live key.
    ///
    /// # Errors
    /// As [`PublicKeys::live`].
    pub async fn live_key(&self, kid: &str, clock: &impl Clock) -> Result<Option<PublicKey>, Fault> {
        let live = self.public_keys.live(clock).await?;
        Ok(live.keys().iter().find(|key| key.kid().as_str() == kid).cloned())
    }

    /// Signs a token, after the ledger has a record of it: no row, no token. Row and token share the session's name.
    ///
    /// Not checked: whether anybody may have it.
    ///
    /// # Errors
    /// Where a key or the ledger gives no answer.
    pub async fn issue(
        &self,
        order: Order<'_>,
        ledger: &impl Ledger,
        clock: &impl Clock,
        random: &dyn Random,
    ) -> Result<Issued, Fault> {
        let Order { subject, network, scope, seconds, policies, source_ip, request_id } = order;
        let signer = self.signer(clock).await?;
        let now = clock.unix_seconds();
        let seconds = seconds.min(self.config.max_token_seconds);
        let claims = Claims {
            issuer: self.config.issuer.clone(),
            subject: subject.to_owned(),
            issued_at: now,
            expires_at: now + u64::from(seconds),
            network,
            session: Claims::new_session(random),
            scope,
        };
        let mut record = vec![
            ("subject", claims.subject.clone()),
            ("network", claims.network.to_string()),
            ("scope", claims.scope.to_string()),
            ("expires_at", claims.expires_at.to_string()),
            ("kid", signer.key().public().kid().to_string()),
            ("policies", policies.to_owned()),
            ("request_id", request_id.to_owned()),
            ("issued_at", now.to_string()),
        ];
        record.extend(source_ip.map(|source_ip| ("source_ip", source_ip.to_string())));
        let row = Row {
            key: format!("token#{}", claims.session),
            ttl: Some(claims.expires_at + self.config.audit_days * 86_400),
            record,
        };
        match ledger.spend(row).await {
            Ok(()) => Ok(Issued { token: claims.sign(signer.key()), claims }),
            Err(SpendError::Fault(fault)) => Err(fault),
            Err(SpendError::AlreadySpent) => Err(Fault::Unusable("a session's name came twice")),
        }
    }
}
