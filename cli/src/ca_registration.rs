use std::time::Duration;

use aws::{CaRegistry, Connection};
use pki::{Authority, Certificate};
use ports::{Clock as _, Fault, ReadSecureParameter, RegisterCa, SystemClock, WriteSecureParameter};
use protocol::{Secret, SystemRandom};

use crate::{CaError, Error, certificate_file::line_ended};

/// A CA that is to sign device certificates: known to AWS IoT, its private key where the broker looks for it.
#[derive(Debug)]
pub struct CaRegistration {
    authority: Authority,
    key: Secret<String>,
    kms_key: Option<String>,
    auto_registration: bool,
}

/// What a registration found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegisteredNow {
    /// It was not registered, and is now, and active.
    Yes,
    /// It was registered before.
    Before {
        /// With this status.
        status: String,
    },
}

impl CaRegistration {
    /// Registers this CA, whose private key this is.
    #[must_use]
    pub const fn new(authority: Authority, key: Secret<String>) -> Self {
        Self { authority, key, kms_key: None, auto_registration: false }
    }

    /// Has the private key encrypted with this key of AWS KMS.
    #[must_use]
    pub fn kms_key(self, kms_key: Option<String>) -> Self {
        Self { kms_key, ..self }
    }

    /// Whether AWS IoT registers each certificate of the CA by itself, when a device shows it for the first time.
    #[must_use]
    pub fn auto_registration(self, auto_registration: bool) -> Self {
        Self { auto_registration, ..self }
    }

    /// The CA's id with AWS IoT.
    #[must_use]
    pub fn id(&self) -> String {
        self.authority.certificate().id().to_string()
    }

    /// The parameter of the private key.
    #[must_use]
    pub fn parameter(&self) -> String {
        format!("cdf-ca-key-{}", self.id())
    }

    /// Stores the private key and registers the CA, within this time, with AWS credentials from where the AWS SDKs look for them.
    /// Safe to repeat.
    ///
    /// # Errors
    /// [`CaError::ParameterTaken`], [`CaError::NotPermitted`], [`CaError::Refused`], [`CaError::Aws`], [`CaError::ForeignId`],
    /// [`Error::TimedOut`].
    pub async fn run(&self, timeout: Duration) -> Result<RegisteredNow, Error> {
        let register = async { self.run_by(&CaRegistry::new(&Connection::from_environment().await)).await };
        Ok(tokio::time::timeout(timeout, register).await.map_err(|_| Error::TimedOut)??)
    }

    async fn run_by<P>(&self, ports: &P) -> Result<RegisteredNow, CaError>
    where
        P: RegisterCa + ReadSecureParameter + WriteSecureParameter,
    {
        // A CA that is registered and whose key is nowhere could sign nothing.
        self.store_key(ports).await?;
        let id = self.id();
        let of = |action| move |fault| CaError::of(action, fault);
        let status = ports.ca_status(&id).await.map_err(of("iot:DescribeCACertificate"))?;
        if let Some(status) = status {
            return Ok(RegisteredNow::Before { status });
        }
        let code = ports.registration_code().await.map_err(of("iot:GetRegistrationCode"))?;
        let now = SystemClock.unix_seconds();
        let proof = pki::verification_certificate(&self.authority, &code, now, &SystemRandom);
        let proof = line_ended(proof.map_err(CaError::Unusable)?.to_pem());
        let ca = line_ended(self.certificate().to_pem());
        match ports.register_ca(&ca, &proof, self.auto_registration).await {
            Ok(registered) if registered == id => Ok(RegisteredNow::Yes),
            Ok(_) => Err(CaError::ForeignId),
            Err(Fault::Conflict) => Ok(RegisteredNow::Before { status: "ACTIVE".into() }),
            Err(fault) => Err(CaError::of("iot:RegisterCACertificate", fault)),
        }
    }

    async fn store_key<P: ReadSecureParameter + WriteSecureParameter>(&self, ports: &P) -> Result<(), CaError> {
        let parameter = self.parameter();
        match ports.write_secure(&parameter, &self.key, self.kms_key.as_deref()).await {
            Ok(()) => return Ok(()),
            Err(Fault::Conflict) => {}
            Err(fault) => return Err(CaError::of("ssm:PutParameter", fault)),
        }
        let stored = match ports.read_secure(&parameter).await {
            Ok(stored) => stored,
            // A parameter of another type: in the clear.
            Err(Fault::Unusable(_)) => return Err(CaError::ParameterTaken(parameter)),
            Err(fault) => return Err(CaError::of("ssm:GetParameter", fault)),
        };
        // The same key may be written in another form.
        let is_its_key = Authority::new(self.certificate().clone(), stored.expose()).is_ok();
        if is_its_key { Ok(()) } else { Err(CaError::ParameterTaken(parameter)) }
    }

    const fn certificate(&self) -> &Certificate {
        self.authority.certificate()
    }
}
