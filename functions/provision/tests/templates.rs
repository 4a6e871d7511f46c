//! Provisioning templates: which are refused, and what AWS IoT gets of those that are not.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod world;

use std::mem::discriminant;

use axum::http::StatusCode;
use provision::{Template, TemplateError};
use serde_json::{Value, json};
use world::{
    IOT_ARNS, World,
    templates::{bare, by_id, by_pem, plain},
};

fn options_error() -> TemplateError {
    TemplateError::Options(serde_json::from_str::<u8>("").unwrap_err())
}

fn with_options(options: Value) -> Value {
    let mut template = plain();
    template["CDF"] = options;
    template
}

fn edited(mut template: Value, edit: impl Fn(&mut Value)) -> Value {
    edit(&mut template);
    template
}

#[test]
fn templates_that_cannot_be_used_are_refused() {
    let own = || by_pem(json!({ "createDeviceCertificate": true }));
    let policies = |policies: Value| with_options(json!({ "attachAdditionalPolicies": policies }));
    let document = json!({ "Version": "2012-10-17", "Statement": [] });
    let certificate = |properties: Value| {
        edited(by_id(json!({ "createDeviceAWSCertificate": true })), |template| {
            template["Resources"]["certificate"]["Properties"] = properties.clone();
        })
    };
    let eleven: Vec<Value> = (0..11).map(|number| json!({ "name": format!("policy-{number}") })).collect();
    for (name, template, expected) in [
        ("no_object", json!([]), TemplateError::Malformed),
        ("no_resources", json!({}), TemplateError::Malformed),
        ("resources_of_another_type", json!({ "Resources": [] }), TemplateError::Malformed),
        ("parameters_of_another_type", edited(plain(), |it| it["Parameters"] = json!([])), TemplateError::Malformed),
        ("unknown_option", with_options(json!({ "createEverything": true })), options_error()),
        ("option_of_another_type", with_options(json!({ "createDeviceCertificate": "yes" })), options_error()),
        ("options_of_another_type", with_options(json!("all")), options_error()),
        ("options_null", with_options(Value::Null), options_error()),
        ("unknown_mode", with_options(json!({ "acmpca": { "mode": "REGISTER" } })), options_error()),
        ("no_mode", with_options(json!({ "acmpca": {} })), options_error()),
        (
            "unknown_member_of_acmpca",
            with_options(json!({ "acmpca": { "mode": "REGISTER_WITH_CA", "a": 1 } })),
            options_error(),
        ),
        (
            "two_options",
            by_id(json!({ "createDeviceCertificate": true, "createDeviceAWSCertificate": true })),
            TemplateError::SeveralCertificates,
        ),
        (
            "two_options_with_acmpca",
            by_id(json!({ "registerDeviceCertificateWithoutCA": true, "acmpca": { "mode": "REGISTER_WITHOUT_CA" } })),
            TemplateError::SeveralCertificates,
        ),
        (
            "no_certificate",
            edited(bare(), |it| it["CDF"] = json!({ "createDeviceAWSCertificate": true })),
            TemplateError::Certificate,
        ),
        (
            "two_certificates",
            edited(own(), |it| it["Resources"]["other"] = it["Resources"]["certificate"].clone()),
            TemplateError::Certificate,
        ),
        (
            "two_things",
            edited(bare(), |it| it["Resources"]["other"] = it["Resources"]["thing"].clone()),
            TemplateError::SeveralThings,
        ),
        ("pem_of_aws", by_pem(json!({ "createDeviceAWSCertificate": true })), TemplateError::Certificate),
        (
            "pem_that_is_given",
            by_pem(json!({ "registerDeviceCertificateWithoutCA": true })),
            TemplateError::Certificate,
        ),
        (
            "pem_without_a_ca",
            by_pem(json!({ "acmpca": { "mode": "REGISTER_WITHOUT_CA" } })),
            TemplateError::Certificate,
        ),
        ("certificate_of_nothing", certificate(json!({})), TemplateError::Certificate),
        ("literal_id", certificate(json!({ "CertificateId": "0".repeat(64) })), TemplateError::Certificate),
        ("another_parameter", certificate(json!({ "CertificateId": { "Ref": "Id" } })), TemplateError::Certificate),
        (
            "id_and_csr",
            certificate(json!({
                "CertificateId": { "Ref": "CertificateId" },
                "CertificateSigningRequest": { "Ref": "Csr" },
            })),
            TemplateError::Certificate,
        ),
        (
            "undeclared_id",
            edited(by_id(json!({ "createDeviceAWSCertificate": true })), |it| {
                it["Parameters"].as_object_mut().unwrap().remove("CertificateId");
            }),
            TemplateError::Undeclared,
        ),
        (
            "undeclared_ca",
            edited(own(), |it| drop(it["Parameters"].as_object_mut().unwrap().remove("CaCertificatePem"))),
            TemplateError::Undeclared,
        ),
        ("no_policies", policies(json!([])), TemplateError::Policies),
        ("no_policies_in_an_object", policies(json!({ "policies": [] })), TemplateError::Policies),
        ("eleven_policies", policies(json!(eleven)), TemplateError::Policies),
        (
            "ten_policies_and_the_client_id",
            with_options(json!({ "attachAdditionalPolicies": eleven[1..], "clientIdMustMatchThingName": true })),
            TemplateError::Policies,
        ),
        ("policy_of_nothing", policies(json!([{}])), TemplateError::Policies),
        ("policy_of_no_name", policies(json!([{ "name": "" }])), TemplateError::Policies),
        ("document_of_no_json", policies(json!([{ "document": "{" }])), TemplateError::Policies),
        ("document_of_another_type", policies(json!([{ "document": [] }])), TemplateError::Policies),
        ("unknown_member_of_a_policy", policies(json!([{ "name": "a", "arn": "b" }])), options_error()),
        ("policies_of_another_type", policies(json!("devices")), options_error()),
        (
            "reserved_name",
            edited(policies(json!([{ "document": document }])), |it| {
                it["Resources"]["CountersignPolicy7"] = it["Resources"]["policy"].clone();
            }),
            TemplateError::Reserved,
        ),
        ("too_long", edited(plain(), |it| it["Description"] = json!("x".repeat(10_240))), TemplateError::Oversized),
        (
            "too_long_by_its_policies",
            policies(json!([{ "document": { "Statement": "x".repeat(10_000) } }])),
            TemplateError::Oversized,
        ),
    ] {
        let error = Template::parse(template.to_string().as_bytes(), IOT_ARNS).expect_err(name);
        assert_eq!(discriminant(&error), discriminant(&expected), "{name}: {error}");
    }
    let error = Template::parse(b"{ \"Resources\": {", IOT_ARNS).unwrap_err();
    assert!(matches!(error, TemplateError::Malformed), "not JSON: {error}");
}

/// What AWS IoT registers, less what every template here has.
async fn added(options: Value) -> Vec<Value> {
    let world = World::new();
    world.iot.state().policies.insert("other".into(), "{}".into());
    world.template("a", &by_id(options));
    let aws = json!({ "provisioningTemplateId": "a", "parameters": { "ThingName": "sensor-1" } });
    let answer = world.provision(&aws).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
    let state = world.iot.state();
    let [(template, _)] = state.registered.as_slice() else { panic!("registered once") };
    assert_eq!(template.get("CDF"), None);
    let mut left = template.clone();
    left["Resources"].as_object_mut().unwrap().retain(|name, _| !name.starts_with("Countersign"));
    assert_eq!(
        left,
        by_id(Value::Null).as_object().unwrap().iter().filter(|(name, _)| *name != "CDF").fold(
            json!({}),
            |mut rest, (name, value)| {
                rest[name] = value.clone();
                rest
            }
        )
    );
    let all = template["Resources"].as_object().unwrap();
    let added = (1..).map_while(|number| all.get(&format!("CountersignPolicy{number}")).cloned());
    added.collect()
}

fn policy(properties: &Value) -> Value {
    json!({ "Type": "AWS::IoT::Policy", "Properties": properties })
}

#[tokio::test]
async fn additional_policies_become_resources_in_either_form() {
    let document = json!({ "Version": "2012-10-17", "Statement": [] });
    let by_document = policy(&json!({ "PolicyDocument": document.to_string() }));
    let by_name = policy(&json!({ "PolicyName": "other" }));
    let list =
        json!([{ "name": "other" }, { "document": document }, { "name": "n", "document": document.to_string() }]);
    for policies in [list.clone(), json!({ "policies": list })] {
        let added = added(json!({ "createDeviceAWSCertificate": true, "attachAdditionalPolicies": policies })).await;
        assert_eq!(added, [by_name.clone(), by_document.clone(), by_document.clone()]);
    }
}

#[tokio::test]
async fn the_client_id_is_tied_to_the_thing_by_one_policy_for_all() {
    let added = added(json!({ "createDeviceAWSCertificate": true, "clientIdMustMatchThingName": true })).await;
    let [only] = added.as_slice() else { panic!("one policy: {added:?}") };
    let document: Value = serde_json::from_str(only["Properties"]["PolicyDocument"].as_str().unwrap()).unwrap();
    assert_eq!(
        document["Statement"],
        json!([{
            "Effect": "Allow",
            "Action": "iot:Connect",
            "Resource": format!("{IOT_ARNS}client/${{iot:Connection.Thing.ThingName}}"),
            "Condition": { "Bool": { "iot:Connection.Thing.IsAttached": "true" } },
        }])
    );
}

#[tokio::test]
async fn options_that_are_false_add_nothing() {
    let options = json!({
        "createDeviceCertificate": false,
        "createDeviceAWSCertificate": true,
        "registerDeviceCertificateWithoutCA": false,
        "clientIdMustMatchThingName": false,
    });
    assert_eq!(added(options).await, [] as [Value; 0]);
}

#[test]
fn each_option_takes_the_certificates_that_it_can() {
    let with_ca = || json!({ "acmpca": { "mode": "REGISTER_WITH_CA" } });
    for (name, template) in [
        ("own_ca_by_pem", by_pem(json!({ "createDeviceCertificate": true }))),
        (
            "own_ca_by_pem_alone",
            edited(by_pem(json!({ "createDeviceCertificate": true })), |it| {
                let properties = &mut it["Resources"]["certificate"]["Properties"];
                properties.as_object_mut().unwrap().remove("CACertificatePem");
            }),
        ),
        ("own_ca_by_id", by_id(json!({ "createDeviceCertificate": true }))),
        ("aws", by_id(json!({ "createDeviceAWSCertificate": true }))),
        ("given", by_id(json!({ "registerDeviceCertificateWithoutCA": true }))),
        ("private_ca_by_pem", by_pem(with_ca())),
        ("private_ca_by_id", by_id(with_ca())),
        ("private_ca_that_is_not_registered", by_id(json!({ "acmpca": { "mode": "REGISTER_WITHOUT_CA" } }))),
        ("nothing", plain()),
        ("no_certificate", bare()),
        ("no_options", edited(plain(), |it| it["CDF"] = json!({}))),
        ("longest", {
            let room = 10_240 - edited(plain(), |it| it["Description"] = json!("")).to_string().chars().count();
            edited(plain(), |it| it["Description"] = json!("\u{fc}".repeat(room)))
        }),
    ] {
        let parsed = Template::parse(template.to_string().as_bytes(), IOT_ARNS);
        assert!(parsed.is_ok(), "{name}: {}", parsed.unwrap_err());
    }
}
