use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::TemplateError;

/// What AWS IoT attaches to a certificate at most.
const MAX_POLICIES: usize = 10;

/// The policies of `attachAdditionalPolicies`, in either form.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum AdditionalPolicies {
    List(Vec<AdditionalPolicy>),
    Object(PolicyList),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PolicyList {
    policies: Vec<AdditionalPolicy>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AdditionalPolicy {
    name: Option<String>,
    document: Option<Value>,
}

/// Makes policies resources of the template: `RegisterThing` attaches them, and creates those with a document, under a name
/// that is a hash of the document.
pub(crate) fn add(
    resources: &mut Map<String, Value>,
    policies: Option<AdditionalPolicies>,
    ties_client_id: bool,
    iot_arns: &str,
) -> Result<(), TemplateError> {
    let mut added: Vec<Value> = Vec::new();
    if let Some(policies) = policies {
        let policies = match policies {
            AdditionalPolicies::List(policies) | AdditionalPolicies::Object(PolicyList { policies }) => policies,
        };
        if policies.is_empty() {
            return Err(TemplateError::Policies);
        }
        for policy in policies {
            added.push(policy.properties()?);
        }
    }
    if ties_client_id {
        added.push(json!({ "PolicyDocument": client_id_policy(iot_arns).to_string() }));
    }
    if added.len() > MAX_POLICIES {
        return Err(TemplateError::Policies);
    }
    if resources.keys().any(|name| name.starts_with("Countersign")) {
        return Err(TemplateError::Reserved);
    }
    for (number, properties) in (1..).zip(added) {
        let resource = json!({ "Type": "AWS::IoT::Policy", "Properties": properties });
        resources.insert(format!("CountersignPolicy{number}"), resource);
    }
    Ok(())
}

impl AdditionalPolicy {
    /// A document counts before a name: AWS IoT takes one of the two.
    fn properties(self) -> Result<Value, TemplateError> {
        let document = match self.document {
            Some(Value::String(text)) => Some(serde_json::from_str(&text).map_err(|_| TemplateError::Policies)?),
            document => document,
        };
        match (document, self.name) {
            (Some(document @ Value::Object(_)), _) => Ok(json!({ "PolicyDocument": document.to_string() })),
            (None, Some(name)) if !name.is_empty() => Ok(json!({ "PolicyName": name })),
            _ => Err(TemplateError::Policies),
        }
    }
}

/// The policy that ties the MQTT client id to the thing (AWS IoT Developer Guide, "Thing policy variables"). It is one policy
/// for all things: the variable is the name of the thing whose certificate connects.
fn client_id_policy(iot_arns: &str) -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Action": "iot:Connect",
            "Resource": format!("{iot_arns}client/${{iot:Connection.Thing.ThingName}}"),
            "Condition": { "Bool": { "iot:Connection.Thing.IsAttached": "true" } },
        }],
    })
}
