use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use pki::{Authority, Certificate, CertificateId};
use ports::{Clock as _, ReadCertificate as _, ReadSecureParameter as _};
use web::Caller;

use crate::{Ports, Service, stop::Stop};

/// How long a CA's private key stays in this process after it was read: so long is it used after AWS IoT has its CA inactive.
const MAX_AGE: Duration = Duration::from_mins(5);

/// How many CAs are kept.
const MAX_KEPT: usize = 16;

/// CAs that signed lately. Their keys are wiped when they are dropped.
#[derive(Default)]
pub(crate) struct Authorities(Mutex<BTreeMap<CertificateId, (Duration, Arc<Authority>)>>);

impl Authorities {
    /// Drops those that were read too long ago. A function that is not asked for anything keeps them until it is, or ends.
    pub(crate) fn forget_old(&self, now: Duration) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, (read, _)| now.saturating_sub(*read) < MAX_AGE);
    }

    fn get(&self, id: &CertificateId) -> Option<Arc<Authority>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(id).map(|(_, authority)| Arc::clone(authority))
    }

    fn keep(&self, id: CertificateId, now: Duration, authority: &Arc<Authority>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        kept.insert(id, (now, Arc::clone(authority)));
    }
}

/// The CA of this id: its certificate from AWS IoT, its private key from `cdf-ca-key-<id>` of Parameter Store.
pub(crate) async fn authority<P: Ports>(
    service: &Service<P>,
    id: &CertificateId,
    caller: &Caller,
) -> Result<Arc<Authority>, Stop> {
    let now = service.clock.now();
    if let Some(authority) = service.authorities.get(id) {
        return Ok(authority);
    }
    let parameter = format!("cdf-ca-key-{id}");
    let (ca, key) = tokio::join!(service.iot.ca(id.as_str()), service.parameters.read_secure(&parameter));
    let unknown = |text| Stop::bad("unknown_ca", text);
    let ca = ca.map_err(|fault| Stop::fault_or(unknown("AWS IoT has no CA of this caId"), "ca", &fault, caller))?;
    if !ca.active {
        return Err(Stop::bad("inactive_ca", "the CA is not active in AWS IoT"));
    }
    let key =
        key.map_err(|fault| Stop::fault_or(unknown("the CA has no private key here"), "ca_key", &fault, caller))?;
    let unusable = |error: pki::PkiError| Stop::bad("unusable_ca", format!("the CA cannot be used: {error}"));
    let certificate = Certificate::from_pem(&ca.pem).map_err(unusable)?;
    let authority = Arc::new(Authority::new(certificate, key.expose()).map_err(unusable)?);
    service.authorities.keep(id.clone(), now, &authority);
    Ok(authority)
}
