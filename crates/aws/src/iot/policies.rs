use ports::{DeleteIotPolicy, Fault, IotPolicy, ReadIotPolicy};

use super::{Iot, fault, gone};

impl ReadIotPolicy for Iot {
    /// `iot:GetPolicy`.
    async fn policy(&self, name: &str) -> Result<IotPolicy, Fault> {
        let found = self.0.get_policy().policy_name(name).send().await.map_err(|error| fault(&error))?;
        Ok(IotPolicy {
            name: found.policy_name.ok_or(Fault::Unusable("policy without a name"))?,
            arn: found.policy_arn.ok_or(Fault::Unusable("policy without an ARN"))?,
            document: found.policy_document.ok_or(Fault::Unusable("policy without a document"))?,
        })
    }

    /// `iot:ListAttachedPolicies`.
    async fn policies_of(&self, certificate_arn: &str) -> Result<Vec<String>, Fault> {
        let mut pages = self.0.list_attached_policies().target(certificate_arn).into_paginator().send();
        let mut names = Vec::new();
        while let Some(page) = pages.next().await {
            let policies = page.map_err(|error| fault(&error))?.policies.unwrap_or_default();
            names.extend(policies.into_iter().filter_map(|policy| policy.policy_name));
        }
        Ok(names)
    }

    /// `iot:ListTargetsForPolicy`. A page may be empty and have others after it.
    async fn has_targets(&self, name: &str) -> Result<bool, Fault> {
        let mut pages = self.0.list_targets_for_policy().policy_name(name).into_paginator().send();
        while let Some(page) = pages.next().await {
            if page.map_err(|error| fault(&error))?.targets.is_some_and(|targets| !targets.is_empty()) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl DeleteIotPolicy for Iot {
    /// `iot:DetachPolicy`.
    async fn detach_policy(&self, name: &str, certificate_arn: &str) -> Result<(), Fault> {
        let detached = self.0.detach_policy().policy_name(name).target(certificate_arn).send().await;
        gone(detached.map(|_| ()).map_err(|error| fault(&error)))
    }

    /// `iot:ListPolicyVersions`, `iot:DeletePolicy`, and where there are versions but the default one
    /// `iot:ListTargetsForPolicy`, `iot:DeletePolicyVersion`.
    async fn delete_policy(&self, name: &str) -> Result<(), Fault> {
        gone(self.delete_with_versions(name).await)
    }
}

impl Iot {
    async fn delete_with_versions(&self, name: &str) -> Result<(), Fault> {
        let found = self.0.list_policy_versions().policy_name(name).send().await.map_err(|error| fault(&error))?;
        let versions = found.policy_versions.unwrap_or_default();
        let others: Vec<_> = versions
            .into_iter()
            .filter(|version| !version.is_default_version)
            .filter_map(|version| version.version_id)
            .collect();
        // AWS IoT would refuse to delete the policy only after its versions are gone.
        if !others.is_empty() && self.has_targets(name).await? {
            return Err(Fault::Conflict);
        }
        for id in others {
            let deleted = self.0.delete_policy_version().policy_name(name).policy_version_id(id).send().await;
            gone(deleted.map(|_| ()).map_err(|error| fault(&error)))?;
        }
        self.0.delete_policy().policy_name(name).send().await.map(|_| ()).map_err(|error| fault(&error))
    }
}
