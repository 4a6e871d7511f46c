use pki::{Certificate, CertificateId, Csr, DeviceKey, PkiError, PublicKey, Subject};
use ports::{AddCertificate as _, CertificateStatus, Clock as _, PrivateCa as _, PrivateCaOrder, ReadCertificate as _};
use protocol::{Secret, SystemRandom};

use crate::{
    Ports, Service,
    authorities::authority,
    authorize::Allowed,
    order::{Ca, Holder, Order, Signed},
    record::{Issued, Record},
    stop::Stop,
};

/// A certificate that was made for a thing.
pub(crate) struct Made {
    pub(crate) certificate: Certificate,
    /// The certificate of the CA that signed it, where AWS IoT has to know it.
    pub(crate) ca_pem: Option<String>,
    /// The public key, PEM, where the key was made too.
    pub(crate) public_key: Option<String>,
    /// The private key, PEM.
    pub(crate) private_key: Option<Secret<String>>,
    /// Whether AWS IoT knows the certificate already.
    pub(crate) is_registered: bool,
    /// The status to register it with, where it goes there by its id.
    pub(crate) status: CertificateStatus,
    /// Whether the caller brought it.
    pub(crate) is_given: bool,
    pub(crate) issued: Issued,
}

impl Made {
    /// Its id in AWS IoT.
    pub(crate) fn id(&self) -> CertificateId {
        self.certificate.id()
    }

    fn new(certificate: Certificate, ca: String) -> Self {
        let issued = Issued {
            id: certificate.id().to_string(),
            serial: certificate.serial(),
            subject: certificate.subject_text(),
            ca,
        };
        Self {
            certificate,
            ca_pem: None,
            public_key: None,
            private_key: None,
            is_registered: false,
            status: CertificateStatus::Active,
            is_given: false,
            issued,
        }
    }
}

/// Makes the certificate that was ordered.
pub(crate) async fn make<P: Ports>(
    service: &Service<P>,
    order: Order,
    _: &Allowed,
    record: &Record,
) -> Result<Made, Stop> {
    match order {
        Order::Given { certificate, status } => {
            let issuer = certificate.issuer_text();
            Ok(Made { status, is_given: true, ..Made::new(*certificate, issuer) })
        }
        Order::Aws { active } => {
            let made = service.iot.create_certificate(active).await;
            let made = made.map_err(|fault| Stop::fault("create_certificate", &fault, &record.caller))?;
            let certificate = Certificate::from_pem(&made.pem).map_err(|error| {
                tracing::error!(certificate = made.id, %error, "AWS IoT made a certificate that cannot be read");
                Stop::unavailable("create_certificate")
            })?;
            let issuer = certificate.issuer_text();
            Ok(Made {
                public_key: Some(made.public_key),
                private_key: Some(made.private_key),
                is_registered: true,
                ..Made::new(certificate, issuer)
            })
        }
        Order::Signed(order) => sign(service, *order, record).await,
    }
}

/// Whose key a CA signs.
enum Held {
    Csr(Csr),
    Key(DeviceKey, Subject),
}

impl Held {
    fn new(holder: Holder) -> Result<Self, PkiError> {
        Ok(match holder {
            Holder::Csr(csr) => Self::Csr(csr),
            Holder::Made(subject, kind) => Self::Key(DeviceKey::generate(kind)?, subject),
        })
    }

    const fn subject(&self) -> &Subject {
        match self {
            Self::Csr(csr) => csr.subject(),
            Self::Key(_, subject) => subject,
        }
    }

    fn public_key(&self) -> PublicKey {
        match self {
            Self::Csr(csr) => csr.public_key().clone(),
            Self::Key(key, _) => key.public_key(),
        }
    }

    fn to_csr_pem(&self) -> Result<String, PkiError> {
        match self {
            Self::Csr(csr) => Ok(csr.to_pem()),
            Self::Key(key, subject) => key.csr(subject).map(|csr| csr.to_pem()),
        }
    }
}

async fn sign<P: Ports>(service: &Service<P>, order: Signed, record: &Record) -> Result<Made, Stop> {
    let ca_name = order.ca_name().to_owned();
    let Signed { ca, holder, days } = order;
    let held = Held::new(holder).map_err(failed)?;
    let now = service.clock.unix_seconds();
    let (certificate, ca_pem) = match ca {
        Ca::Own(id) => {
            let authority = authority(service, &id, &record.caller).await?;
            let order = pki::Order { subject: held.subject(), public_key: &held.public_key(), now, days };
            let certificate = authority.issue(&order, &SystemRandom).map_err(|error| {
                if matches!(error, PkiError::AuthorityEnded | PkiError::AuthorityNotBegun | PkiError::WrongLifetime) {
                    Stop::bad("unusable_ca", format!("the CA cannot be used: {error}"))
                } else {
                    failed(error)
                }
            })?;
            (certificate, Some(authority.certificate().to_pem()))
        }
        Ca::Private { ca, registered } => {
            let ca_pem = match registered {
                None => None,
                Some(id) => Some(registered_ca(service, &id, record).await?),
            };
            let order = PrivateCaOrder {
                ca_arn: &ca.arn,
                role_arn: ca.role_arn.as_deref(),
                csr: &held.to_csr_pem().map_err(failed)?,
                days,
                token: &record.caller.request_id,
            };
            let unknown = Stop::bad("unknown_ca", "there is no such private CA");
            let signed = service.private_cas.sign(&order).await;
            let pem = signed.map_err(|fault| Stop::fault_or(unknown, "private_ca", &fault, &record.caller))?;
            (signed_for(&pem, &held, now, days)?, ca_pem)
        }
    };
    let (public_key, private_key) = match &held {
        Held::Csr(_) => (None, None),
        Held::Key(key, _) => (Some(key.public_key().to_pem()), Some(key.to_pem())),
    };
    Ok(Made { ca_pem, public_key, private_key, ..Made::new(certificate, ca_name) })
}

/// The certificate of a CA that AWS IoT knows.
async fn registered_ca<P: Ports>(service: &Service<P>, id: &CertificateId, record: &Record) -> Result<String, Stop> {
    let unknown = Stop::bad("unknown_ca", "AWS IoT has no such CA");
    let found = service.iot.ca(id.as_str()).await;
    let ca = found.map_err(|fault| Stop::fault_or(unknown, "ca", &fault, &record.caller))?;
    if ca.active { Ok(ca.pem) } else { Err(Stop::bad("inactive_ca", "the CA is not active in AWS IoT")) }
}

/// What came from a private CA, if it is what was asked for: policy allowed that.
fn signed_for(pem: &str, held: &Held, now: u64, days: u32) -> Result<Certificate, Stop> {
    let certificate = Certificate::from_pem(pem).map_err(failed)?;
    let same_key = certificate.public_key().map_err(failed)?.to_pem() == held.public_key().to_pem();
    let same_subject = certificate.subject_text() == held.subject().to_string();
    // It has a clock of its own, and may round up to a day's end.
    let in_time = certificate.not_after() <= now + (u64::from(days) + 1) * 86_400;
    if !same_key || !same_subject || !in_time || certificate.is_ca() {
        tracing::error!("AWS Private CA signed for another key, subject, time or use than was asked for");
        return Err(Stop::unavailable("private_ca"));
    }
    Ok(certificate)
}

fn failed(error: PkiError) -> Stop {
    tracing::error!(%error, "certificate not made");
    Stop::unavailable("certificate")
}
