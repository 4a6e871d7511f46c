use aws_sdk_iot::operation::delete_thing::DeleteThingError;
use ports::{DeleteThing, Fault, ReadThing, Thing, ThingGroup};

use super::{Iot, fault, gone};

impl ReadThing for Iot {
    /// `iot:DescribeThing`.
    async fn thing(&self, name: &str) -> Result<Thing, Fault> {
        let found = self.0.describe_thing().thing_name(name).send().await.map_err(|error| fault(&error))?;
        Ok(Thing {
            name: found.thing_name.ok_or(Fault::Unusable("thing without a name"))?,
            arn: found.thing_arn.ok_or(Fault::Unusable("thing without an ARN"))?,
            type_name: found.thing_type_name,
            attributes: found.attributes.unwrap_or_default().into_iter().collect(),
        })
    }

    /// `iot:ListThingPrincipals`.
    async fn certificates_of(&self, thing: &str) -> Result<Vec<String>, Fault> {
        let mut pages = self.0.list_thing_principals().thing_name(thing).into_paginator().send();
        let mut certificates = Vec::new();
        while let Some(page) = pages.next().await {
            let principals = page.map_err(|error| fault(&error))?.principals.unwrap_or_default();
            certificates.extend(principals.into_iter().filter(|arn| is_certificate(arn)));
        }
        Ok(certificates)
    }

    /// `iot:ListThingGroupsForThing`.
    async fn groups_of(&self, thing: &str) -> Result<Vec<String>, Fault> {
        let mut pages = self.0.list_thing_groups_for_thing().thing_name(thing).into_paginator().send();
        let mut names = Vec::new();
        while let Some(page) = pages.next().await {
            let groups = page.map_err(|error| fault(&error))?.thing_groups.unwrap_or_default();
            names.extend(groups.into_iter().filter_map(|group| group.group_name));
        }
        Ok(names)
    }

    /// `iot:DescribeThingGroup`.
    async fn group(&self, name: &str) -> Result<ThingGroup, Fault> {
        let found = self.0.describe_thing_group().thing_group_name(name).send().await.map_err(|error| fault(&error))?;
        let attributes = found.thing_group_properties.and_then(|properties| properties.attribute_payload);
        let ancestors = found.thing_group_metadata.and_then(|metadata| metadata.root_to_parent_thing_groups);
        Ok(ThingGroup {
            name: found.thing_group_name.ok_or(Fault::Unusable("thing group without a name"))?,
            arn: found.thing_group_arn.ok_or(Fault::Unusable("thing group without an ARN"))?,
            attributes: attributes.and_then(|payload| payload.attributes).unwrap_or_default().into_iter().collect(),
            // None is passed over: a group that seemed nearer to the root than it is would be another one.
            ancestors: ancestors
                .unwrap_or_default()
                .into_iter()
                .map(|group| group.group_name.ok_or(Fault::Unusable("thing group without a name")))
                .collect::<Result<_, _>>()?,
        })
    }
}

impl DeleteThing for Iot {
    /// `iot:DetachThingPrincipal`. AWS IoT may take seconds to act on it.
    async fn detach_thing(&self, thing: &str, certificate_arn: &str) -> Result<(), Fault> {
        let detach = self.0.detach_thing_principal().thing_name(thing).principal(certificate_arn);
        gone(detach.send().await.map(|_| ()).map_err(|error| fault(&error)))
    }

    /// `iot:DeleteThing`. [`Fault::Conflict`] where something is attached to the thing, or still seems to be: AWS IoT calls
    /// the request invalid then.
    async fn delete_thing(&self, name: &str) -> Result<(), Fault> {
        let deleted = self.0.delete_thing().thing_name(name).send().await;
        gone(deleted.map(|_| ()).map_err(|error| match error.as_service_error() {
            Some(DeleteThingError::InvalidRequestException(_)) => Fault::Conflict,
            _ => fault(&error),
        }))
    }
}

/// Whether a principal's ARN is `arn:<partition>:iot:<region>:<account>:cert/<id>`. Others are of Amazon Cognito.
fn is_certificate(arn: &str) -> bool {
    arn.splitn(6, ':').nth(5).is_some_and(|resource| resource.starts_with("cert/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_told_from_other_principals() {
        for (arn, is) in [
            ("arn:aws:iot:eu-west-1:123456789012:cert/0a1b", true),
            ("arn:aws-cn:iot:cn-north-1:123456789012:cert/0a1b", true),
            ("arn:aws:iot:eu-west-1:123456789012:cacert/0a1b", false),
            ("arn:aws:cognito-identity:eu-west-1:123456789012:identitypool/eu-west-1:0a1b", false),
            ("eu-west-1:0a1b", false),
        ] {
            assert_eq!(is_certificate(arn), is, "{arn}");
        }
    }
}
