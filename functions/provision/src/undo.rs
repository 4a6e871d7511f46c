use pki::CertificateId;
use ports::{
    CertificateStatus, ChangeCertificate as _, DeleteIotPolicy as _, DeleteThing as _, Fault, ReadCertificate as _,
    ReadIotPolicy as _, chain,
};

use crate::{Ports, Service, detached::once_detached};

/// What became of a certificate whose thing could not be registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Undoing {
    pub(crate) id: CertificateId,
    /// Whether nothing is left of it in AWS IoT. Not where the registration may still be going on.
    pub(crate) done: bool,
}

impl Undoing {
    /// For the log.
    pub(crate) const fn word(&self) -> &'static str {
        if self.done { "undone" } else { "not undone" }
    }
}

/// Deactivates a certificate that this request made, detaches it from everything, and deletes it.
///
/// `is_over` says whether what failed is known to have ended: what is still going on may register the certificate again.
pub(crate) async fn undo<P: Ports>(service: &Service<P>, id: CertificateId, is_over: bool) -> Undoing {
    let done = match take_back(service, &id).await {
        Ok(()) => is_over,
        Err(fault) => {
            tracing::error!(certificate = %id, error = chain(&fault), "certificate not undone");
            false
        }
    };
    Undoing { id, done }
}

async fn take_back<P: Ports>(service: &Service<P>, id: &CertificateId) -> Result<(), Fault> {
    let iot = &service.iot;
    match iot.set_status(id.as_str(), CertificateStatus::Inactive).await {
        // It came to nothing before AWS IoT knew it.
        Err(Fault::Missing) => return Ok(()),
        // Somebody revoked it meanwhile; it can be deleted.
        Err(Fault::Conflict) => {}
        set => set?,
    }
    let arn = iot.certificate(id.as_str()).await?.arn;
    let (policies, things) = tokio::try_join!(iot.policies_of(&arn), iot.things_of(&arn))?;
    for policy in policies {
        iot.detach_policy(&policy, &arn).await?;
    }
    for thing in things {
        iot.detach_thing(&thing, &arn).await?;
    }
    once_detached(|| iot.delete_certificate(id.as_str())).await
}
