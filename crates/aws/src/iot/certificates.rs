use aws_sdk_iot::types::{self, CaCertificateStatus};
use ports::{
    AddCertificate, AwsCertificate, CertificateStatus, ChangeCertificate, Fault, ReadCertificate, RegisteredCa,
    RegisteredCertificate,
};
use protocol::Secret;

use super::{Iot, fault, gone, once};

impl ReadCertificate for Iot {
    /// `iot:DescribeCertificate`.
    async fn certificate(&self, id: &str) -> Result<RegisteredCertificate, Fault> {
        let found = self.0.describe_certificate().certificate_id(id).send().await.map_err(|error| fault(&error))?;
        let found = found.certificate_description.ok_or(Fault::Unusable("certificate without a description"))?;
        Ok(RegisteredCertificate {
            id: found.certificate_id.ok_or(Fault::Unusable("certificate without an id"))?,
            arn: found.certificate_arn.ok_or(Fault::Unusable("certificate without an ARN"))?,
            pem: found.certificate_pem.ok_or(Fault::Unusable("certificate without its PEM"))?,
            status: found.status.ok_or(Fault::Unusable("certificate without a status"))?.as_str().to_owned(),
        })
    }

    /// `iot:ListPrincipalThings`.
    async fn things_of(&self, certificate_arn: &str) -> Result<Vec<String>, Fault> {
        let mut pages = self.0.list_principal_things().principal(certificate_arn).into_paginator().send();
        let mut things = Vec::new();
        while let Some(page) = pages.next().await {
            things.extend(page.map_err(|error| fault(&error))?.things.unwrap_or_default());
        }
        Ok(things)
    }

    /// `iot:DescribeCACertificate`.
    async fn ca(&self, id: &str) -> Result<RegisteredCa, Fault> {
        let found = self.0.describe_ca_certificate().certificate_id(id).send().await.map_err(|error| fault(&error))?;
        let found = found.certificate_description.ok_or(Fault::Unusable("CA without a description"))?;
        Ok(RegisteredCa {
            pem: found.certificate_pem.ok_or(Fault::Unusable("CA without its certificate"))?,
            active: found.status == Some(CaCertificateStatus::Active),
        })
    }
}

impl AddCertificate for Iot {
    /// `iot:CreateKeysAndCertificate`.
    async fn create_certificate(&self, active: bool) -> Result<AwsCertificate, Fault> {
        let create = self.0.create_keys_and_certificate().set_as_active(active).customize().config_override(once());
        let made = create.send().await.map_err(|error| fault(&error))?;
        let pair = made.key_pair.ok_or(Fault::Unusable("certificate without its keys"))?;
        let private_key = pair.private_key.map(Secret::new);
        Ok(AwsCertificate {
            id: made.certificate_id.ok_or(Fault::Unusable("certificate without an id"))?,
            pem: made.certificate_pem.ok_or(Fault::Unusable("certificate without its PEM"))?,
            public_key: pair.public_key.ok_or(Fault::Unusable("certificate without its public key"))?,
            private_key: private_key.ok_or(Fault::Unusable("certificate without its private key"))?,
        })
    }

    /// `iot:RegisterCertificate` or `iot:RegisterCertificateWithoutCA`. Asked once: after a lost answer, another try would be told
    /// that somebody else has registered the certificate.
    async fn register_certificate(
        &self,
        pem: &str,
        ca_pem: Option<&str>,
        status: CertificateStatus,
    ) -> Result<String, Fault> {
        if let Some(ca_pem) = ca_pem {
            let register = self.0.register_certificate().certificate_pem(pem).ca_certificate_pem(ca_pem);
            let register = register.status(written(status)).customize().config_override(once());
            let registered = register.send().await.map_err(|error| fault(&error))?;
            return registered.certificate_id.ok_or(Fault::Unusable("certificate without an id"));
        }
        let register = self.0.register_certificate_without_ca().certificate_pem(pem).status(written(status));
        let registered = register.customize().config_override(once()).send().await.map_err(|error| fault(&error))?;
        registered.certificate_id.ok_or(Fault::Unusable("certificate without an id"))
    }
}

impl ChangeCertificate for Iot {
    /// `iot:UpdateCertificate`.
    async fn set_status(&self, id: &str, status: CertificateStatus) -> Result<(), Fault> {
        let update = self.0.update_certificate().certificate_id(id).new_status(written(status));
        update.send().await.map(|_| ()).map_err(|error| fault(&error))
    }

    /// `iot:DeleteCertificate`, without force: one that is active, or to which something is attached, is [`Fault::Conflict`].
    async fn delete_certificate(&self, id: &str) -> Result<(), Fault> {
        let deleted = self.0.delete_certificate().certificate_id(id).send().await;
        gone(deleted.map(|_| ()).map_err(|error| fault(&error)))
    }
}

fn written(status: CertificateStatus) -> types::CertificateStatus {
    match status {
        CertificateStatus::Active => types::CertificateStatus::Active,
        CertificateStatus::Inactive => types::CertificateStatus::Inactive,
        CertificateStatus::Revoked => types::CertificateStatus::Revoked,
    }
}
