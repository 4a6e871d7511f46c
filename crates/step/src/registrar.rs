use std::{net::IpAddr, sync::Arc};

use ports::{Clock, ConfigError, Fault, Ledger, ReadObject, ReadSecret, Settings};
use protocol::{AltName, CsrDigest, EnrollmentToken, Random, SubjectName};

use crate::{Ca, SerialNumber};

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
    config: RegistrarConfig,
    objects: O,
    secrets: S,
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
    /// The revocation of one certificate.
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

impl<O: ReadObject, S: ReadSecret> Registrar<O, S> {
    /// A registrar with empty caches.
    pub const fn new(config: RegistrarConfig, objects: O, secrets: S) -> Self {
        Self { config, objects, secrets }
    }

    /// Fills the caches. That there is no CA is no error: nobody is enrolled then.
    ///
    /// # Errors
    /// What failed first.
    pub async fn prefetch(&self, clock: &impl Clock) -> Result<(), Fault> {
        match self.ca(clock).await {
            Err(Fault::Missing) => Ok(()),
            other => other.map(|_| ()),
        }
    }

    /// The CA.
    ///
    /// # Errors
    /// [`Fault::Missing`] where the operator named none; where it cannot be read.
    #[expect(clippy::unused_async, reason = "not written yet")]
    pub async fn ca(&self, _clock: &impl Clock) -> Result<Arc<Ca>, Fault> {
        let _ = (&self.config, &self.objects, &self.secrets);
        Err(Fault::Missing)
    }

    /// Signs a token, after the ledger has a record of it: no row, no token. Row and token share the `jti`.
    ///
    /// Not checked: whether anybody may have it.
    ///
    /// # Errors
    /// [`Fault::Missing`] where there is no CA, or no key of its provisioner's kind; where key or ledger give no answer.
    pub async fn issue(
        &self,
        _order: OttOrder<'_>,
        _ledger: &impl Ledger,
        clock: &impl Clock,
        _random: &dyn Random,
    ) -> Result<IssuedOtt, Fault> {
        self.ca(clock).await?;
        Err(Fault::Missing)
    }
}
