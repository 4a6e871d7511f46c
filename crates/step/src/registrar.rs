use std::{net::IpAddr, sync::Arc};

use ports::{Cached, Clock, ConfigError, Fault, Ledger, ReadObject, ReadSecret, Row, Settings, SpendError, Stage};
use protocol::{AltName, CsrDigest, EnrollmentToken, Random, SubjectName};

use crate::{
    Ca, Provisioner, ProvisionerKey, ProvisionerKind, SerialNumber,
    claims::Claims,
    sources::{CaSource, KeySource},
};

/// What a deployment decides of its one-time tokens.
#[derive(Clone, Debug)]
pub struct RegistrarConfig {
    /// `STEP_SECRETS`: the first part of the names of the provisioners' secrets, as `<stack>/step-ca`.
    pub secrets: String,
    /// `AUDIT_DAYS`: how long the ledger remembers a token after its end.
    pub audit_days: u64,
}

impl RegistrarConfig {
    /// Reads the settings.
    ///
    /// # Errors
    /// The first variable that is missing or not valid.
    pub fn read(settings: Settings<'_>) -> Result<Self, ConfigError> {
        Ok(Self { secrets: settings.required("STEP_SECRETS")?, audit_days: settings.parsed("AUDIT_DAYS")? })
    }
}

/// What signs one-time tokens: the CA as the operator wrote it down, its provisioner's key, and a record of every token.
pub struct Registrar<O: ReadObject, S: ReadSecret> {
    audit_days: u64,
    ca: Cached<CaSource<O>>,
    jwk: Keys<S>,
    x5c: Keys<S>,
}

/// The keys of a kind. The one before is read where a CA's provisioner is still the one before, alone.
struct Keys<S: ReadSecret> {
    current: Cached<KeySource<S>>,
    previous: Cached<KeySource<S>>,
}

/// The CA and its provisioner's key, which belong together. [`Registrar::signer`] alone makes one.
#[derive(Clone, Debug)]
pub struct Signer {
    ca: Arc<Ca>,
    key: Arc<ProvisionerKey>,
}

impl Signer {
    /// The CA.
    #[must_use]
    pub fn ca(&self) -> &Ca {
        &self.ca
    }
}

/// A token that is wanted, and that somebody may have: policy was asked.
#[derive(Clone, Copy, Debug)]
pub struct OttOrder<'a> {
    /// What it is good for.
    pub purpose: Purpose<'a>,
    /// Who gets it, for the record.
    pub holder: &'a str,
    /// The policies that allow it, for the record.
    pub policies: &'a str,
    /// Where it was asked for.
    pub source_ip: IpAddr,
    /// The invocation's id.
    pub request_id: &'a str,
}

/// What a token is good for.
#[derive(Clone, Copy, Debug)]
pub enum Purpose<'a> {
    /// One certificate.
    Sign {
        /// Its common name.
        subject: &'a SubjectName,
        /// Its other names; none: the subject is its one name.
        sans: &'a [AltName],
        /// The only request that the token is good for.
        csr: Option<&'a CsrDigest>,
    },
    /// A revocation. Of one certificate, as the token says; a step-ca does not compare that with what it is asked for (seen in 0.19,
    /// `authority/tls.go`, `Revoke`), so that whoever has the token may revoke any.
    Revoke {
        /// Its serial number.
        serial: &'a SerialNumber,
    },
}

/// A token, and its name.
#[derive(Debug)]
pub struct IssuedOtt {
    /// What its holder gets.
    pub token: EnrollmentToken,
    /// Its `jti`, by which the ledger and the CA know it.
    pub jti: String,
}

impl Purpose<'_> {
    /// Whether the certificate would be good for the CA's own host. Nobody gets a token for one, whatever policy says.
    #[must_use]
    pub fn is_for_host_of(&self, ca: &Ca) -> bool {
        match self {
            Self::Sign { subject, sans, .. } => {
                ca.url.is_for_host(subject.as_str()) || sans.iter().any(|name| ca.url.is_for_host(&name.to_string()))
            }
            Self::Revoke { .. } => false,
        }
    }
}

impl<O: ReadObject, S: ReadSecret> Registrar<O, S> {
    /// A registrar with empty caches.
    pub fn new(config: RegistrarConfig, objects: O, secrets: S) -> Self {
        let RegistrarConfig { secrets: prefix, audit_days } = config;
        let secrets = Arc::new(secrets);
        let keys = |kind| {
            let name = format!("{prefix}/{}", ProvisionerKey::secret_name(kind));
            let of = |stage| Cached::new(KeySource { secrets: Arc::clone(&secrets), kind, name: name.clone(), stage });
            Keys { current: of(Stage::Current), previous: of(Stage::Previous) }
        };
        let (jwk, x5c) = (keys(ProvisionerKind::Jwk), keys(ProvisionerKind::X5c));
        Self { audit_days, ca: Cached::new(CaSource(objects)), jwk, x5c }
    }

    /// Fills the caches. That there is no CA, or no key yet, is no error: nobody is enrolled then.
    ///
    /// # Errors
    /// What failed first.
    pub async fn prefetch(&self, clock: &impl Clock) -> Result<(), Fault> {
        let Some(ca) = self.ca.get(clock).await?.ca.clone() else { return Ok(()) };
        self.keys(ca.provisioner.kind).current.get(clock).await.map(|_| ())
    }

    /// The CA.
    ///
    /// # Errors
    /// [`Fault::Missing`] where the operator named none; where it cannot be read.
    pub async fn ca(&self, clock: &impl Clock) -> Result<Arc<Ca>, Fault> {
        if let Some(ca) = &self.ca.get(clock).await?.ca {
            return Ok(Arc::clone(ca));
        }
        self.ca.refresh(clock).await?.ca.clone().ok_or(Fault::Missing)
    }

    /// The CA, and a key of its provisioner that signs now.
    ///
    /// Each is kept for a minute of its own, and an operator replaces one after the other: what does not belong together is read anew.
    /// The key before the current one signs for as long as the object names it.
    ///
    /// # Errors
    /// [`Fault::Missing`] where there is no CA, or no key of its provisioner's kind; [`Fault::Unusable`] for a key whose certificate has
    /// ended; where they give no answer, or neither key is the one that the object names.
    pub async fn signer(&self, clock: &impl Clock) -> Result<Signer, Fault> {
        let ca = self.ca(clock).await?;
        if let Some(key) = self.current_key(&ca.provisioner, clock).await? {
            return Ok(Signer { ca, key });
        }
        let ca = self.ca.refresh(clock).await?.ca.clone().ok_or(Fault::Missing)?;
        if let Some(key) = self.current_key(&ca.provisioner, clock).await? {
            return Ok(Signer { ca, key });
        }
        // The new key is stored before the object names it.
        let previous = self.keys(ca.provisioner.kind).previous.get(clock).await?;
        let is_good = |key: &&Arc<ProvisionerKey>| ca.provisioner.knows(key) && key.signs_at(clock.unix_seconds());
        let key = previous.key.as_ref().filter(is_good).map(Arc::clone);
        let key = key.ok_or_else(|| Fault::Unavailable("no key is the one that the provisioner knows".into()))?;
        Ok(Signer { ca, key })
    }

    /// Signs a token, after the ledger has a record of it: no row, no token. Row and token share the `jti`.
    ///
    /// Not checked: whether anybody may have it.
    ///
    /// # Errors
    /// [`Fault::Missing`] for [`Purpose::is_for_host_of`] the CA; where the ledger gives no answer.
    pub async fn issue(
        &self,
        order: OttOrder<'_>,
        Signer { ca, key }: &Signer,
        ledger: &impl Ledger,
        clock: &impl Clock,
        random: &dyn Random,
    ) -> Result<IssuedOtt, Fault> {
        if order.purpose.is_for_host_of(ca) {
            return Err(Fault::Missing);
        }
        let now = clock.unix_seconds();
        let claims = Claims::new(ca, order.purpose, now, random);
        let (jti, expires_at) = (claims.jti().to_owned(), claims.expires_at());
        let row = Row {
            key: format!("ott#{jti}"),
            ttl: Some(expires_at + self.audit_days * 86_400),
            record: record(&order, ca, key, now, expires_at),
        };
        match ledger.spend(row).await {
            Ok(()) => {}
            Err(SpendError::Fault(fault)) => return Err(fault),
            Err(SpendError::AlreadySpent) => return Err(Fault::Unusable("a token's name came twice")),
        }
        let token = claims.sign(key).map_err(|_| Fault::Unusable("the provisioner's key does not sign"))?;
        Ok(IssuedOtt { token: EnrollmentToken { token, ca: ca.address(), expires_at }, jti })
    }

    /// The current key, where it is the provisioner's.
    async fn current_key(
        &self,
        provisioner: &Provisioner,
        clock: &impl Clock,
    ) -> Result<Option<Arc<ProvisionerKey>>, Fault> {
        let Keys { current, .. } = self.keys(provisioner.kind);
        let signs = |key: &ProvisionerKey| key.signs_at(clock.unix_seconds());
        let known = current.get(clock).await?;
        if let Some(key) = known.key.as_ref().filter(|key| provisioner.knows(key) && signs(key)) {
            return Ok(Some(Arc::clone(key)));
        }
        // It may have come, or been replaced, a moment ago.
        let key = current.refresh(clock).await?.key.clone().ok_or(Fault::Missing)?;
        match (provisioner.knows(&key), signs(&key)) {
            (false, _) => Ok(None),
            (true, true) => Ok(Some(key)),
            (true, false) => Err(Fault::Unusable("the provisioner's certificate is not valid now")),
        }
    }

    const fn keys(&self, kind: ProvisionerKind) -> &Keys<S> {
        match kind {
            ProvisionerKind::Jwk => &self.jwk,
            ProvisionerKind::X5c => &self.x5c,
        }
    }
}

/// What the ledger remembers.
fn record(
    order: &OttOrder<'_>,
    ca: &Ca,
    key: &ProvisionerKey,
    now: u64,
    expires_at: u64,
) -> Vec<(&'static str, String)> {
    let mut record = match order.purpose {
        Purpose::Sign { subject, sans, csr } => {
            let sans: Vec<String> = sans.iter().map(ToString::to_string).collect();
            let mut record = vec![("purpose", "sign".to_owned()), ("subject", subject.to_string())];
            record.extend((!sans.is_empty()).then(|| ("sans", sans.join(" "))));
            record.extend(csr.map(|digest| ("csr_sha256", digest.to_string())));
            record
        }
        Purpose::Revoke { serial } => vec![("purpose", "revoke".to_owned()), ("serial", serial.to_string())],
    };
    record.extend([
        ("holder", order.holder.to_owned()),
        ("policies", order.policies.to_owned()),
        ("source_ip", order.source_ip.to_string()),
        ("request_id", order.request_id.to_owned()),
        ("ca", ca.url.to_string()),
        ("provisioner", format!("{}/{}", ca.provisioner.kind, ca.provisioner.name)),
        ("kid", key.id()),
        ("issued_at", now.to_string()),
        ("expires_at", expires_at.to_string()),
    ]);
    record
}
