use std::time::Duration;

use aws::{CaRegistry, Connection};
use pki::{Authority, Certificate};
use ports::{Clock as _, Fault, ReadSecureParameter, RegisterCa, SystemClock, WriteSecureParameter};
use protocol::{Secret, SystemRandom};

use crate::{AwsError, CaError, Error, certificate_file::line_ended};

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
    /// [`CaError::ParameterTaken`], [`CaError::Aws`], [`CaError::ForeignId`], [`Error::TimedOut`].
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
        let of = |action| move |fault| AwsError::of(action, fault);
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
            Err(fault) => Err(AwsError::of("iot:RegisterCACertificate", fault).into()),
        }
    }

    async fn store_key<P: ReadSecureParameter + WriteSecureParameter>(&self, ports: &P) -> Result<(), CaError> {
        let parameter = self.parameter();
        match ports.write_secure(&parameter, &self.key, self.kms_key.as_deref()).await {
            Ok(()) => return Ok(()),
            Err(Fault::Conflict) => {}
            Err(fault) => return Err(AwsError::of("ssm:PutParameter", fault).into()),
        }
        let stored = match ports.read_secure(&parameter).await {
            Ok(stored) => stored,
            // A parameter of another type: in the clear.
            Err(Fault::Unusable(_)) => return Err(CaError::ParameterTaken(parameter)),
            Err(fault) => return Err(AwsError::of("ssm:GetParameter", fault).into()),
        };
        // The same key may be written in another form.
        let is_its_key = Authority::new(self.certificate().clone(), stored.expose()).is_ok();
        if is_its_key { Ok(()) } else { Err(CaError::ParameterTaken(parameter)) }
    }

    const fn certificate(&self) -> &Certificate {
        self.authority.certificate()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use pki::{KeyKind, Subject, SubjectFields};

    use super::*;

    const CODE: &str = "0123456789abcdef";

    /// AWS with one parameter and one CA, and the calls that changed it.
    #[derive(Default)]
    struct Aws {
        parameter: Mutex<Option<String>>,
        status: Mutex<Option<String>>,
        calls: Mutex<Vec<&'static str>>,
        refuses: bool,
    }

    impl RegisterCa for Aws {
        async fn registration_code(&self) -> Result<String, Fault> {
            Ok(CODE.into())
        }

        async fn ca_status(&self, _: &str) -> Result<Option<String>, Fault> {
            Ok(self.status.lock().unwrap().clone())
        }

        async fn register_ca(&self, ca_pem: &str, proof: &str, auto_registration: bool) -> Result<String, Fault> {
            self.calls.lock().unwrap().push("register");
            if self.refuses {
                return Err(Fault::Invalid("refused".into()));
            }
            let (ca, proof) = (Certificate::from_pem(ca_pem).unwrap(), Certificate::from_pem(proof).unwrap());
            assert!(proof.is_signed_by(&ca) && proof.subject_text().contains(CODE) && !auto_registration);
            *self.status.lock().unwrap() = Some("ACTIVE".into());
            Ok(ca.id().to_string())
        }
    }

    impl WriteSecureParameter for Aws {
        async fn write_secure(&self, name: &str, value: &Secret<String>, kms: Option<&str>) -> Result<(), Fault> {
            assert!(name.starts_with("cdf-ca-key-") && name.len() == 75 && kms == Some("alias/ca"));
            let mut parameter = self.parameter.lock().unwrap();
            if parameter.is_some() {
                return Err(Fault::Conflict);
            }
            *parameter = Some(value.expose().clone());
            self.calls.lock().unwrap().push("store");
            Ok(())
        }
    }

    impl ReadSecureParameter for Aws {
        async fn read_secure(&self, _: &str) -> Result<Secret<String>, Fault> {
            self.parameter.lock().unwrap().clone().map(Secret::new).ok_or(Fault::Missing)
        }
    }

    fn registration() -> CaRegistration {
        let fields = SubjectFields { common_name: Some("Acme Devices".into()), ..Default::default() };
        let subject = Subject::new(&fields).unwrap();
        let now = SystemClock.unix_seconds();
        let (certificate, key) = pki::new_root(&subject, KeyKind::EcdsaP256, now, 10, &SystemRandom).unwrap();
        let authority = Authority::new(certificate, key.expose()).unwrap();
        CaRegistration::new(authority, key).kms_key(Some("alias/ca".into()))
    }

    #[tokio::test]
    async fn the_key_is_stored_before_the_ca_is_registered_and_again_nothing_changes() {
        let (aws, registration) = (Aws::default(), registration());
        assert_eq!(registration.run_by(&aws).await.unwrap(), RegisteredNow::Yes);
        let again = registration.run_by(&aws).await.unwrap();
        assert_eq!(again, RegisteredNow::Before { status: "ACTIVE".into() });
        assert_eq!(*aws.calls.lock().unwrap(), ["store", "register"]);
        assert_eq!(aws.parameter.lock().unwrap().as_ref(), Some(registration.key.expose()));
    }

    #[tokio::test]
    async fn a_parameter_of_another_key_is_left_alone_and_nothing_is_registered() {
        let aws = Aws::default();
        *aws.parameter.lock().unwrap() = Some(registration().key.expose().clone());
        let refused = registration().run_by(&aws).await;
        assert!(matches!(refused, Err(CaError::ParameterTaken(_))));
        assert!(aws.calls.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_ca_that_was_refused_is_registered_by_another_try() {
        let (mut aws, registration) = (Aws { refuses: true, ..Aws::default() }, registration());
        assert!(matches!(registration.run_by(&aws).await, Err(CaError::Aws(AwsError::Refused { .. }))));
        aws.refuses = false;
        assert_eq!(registration.run_by(&aws).await.unwrap(), RegisteredNow::Yes);
    }
}
