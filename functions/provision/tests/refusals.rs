//! Bad input of `POST /things`: what each is refused with, and that nothing was made.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod world;

use axum::{
    body::Body,
    http::{Method, Request, StatusCode, header},
};
use serde_json::{Value, json};
use world::{NOW, PRIVATE_CA, Trouble, World, csr, foreign_certificate, root};

const ASKS_FOR_CA_RIGHTS: &str = include_str!("requests/asks_for_ca_rights.pem");
const WRONG_SIGNATURE: &str = include_str!("requests/wrong_signature.pem");

/// The order for a template, edited.
fn order(world: &World, template: &str, edit: impl Fn(&mut Value)) -> Value {
    let mut order = world.order(template);
    edit(&mut order);
    order
}

/// The order for a template with other needs of its option.
fn needs(world: &World, template: &str, needs: &Value) -> Value {
    order(world, template, |order| order["cdfProvisioningParameters"] = needs.clone())
}

async fn assert_refused(world: &World, name: &str, body: &Value, reason: &str) {
    world.faults.clear();
    let answer = world.provision(body).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{name}: {}", answer.body);
    assert_eq!(world.log.audited(), ["device:provision", "refused", reason], "{name}: {}", answer.body);
    let answer = answer.json();
    assert!(answer["error"].is_string() && answer.as_object().unwrap().len() == 1, "{name}: {answer}");
    assert_eq!(world.changes(), [] as [&str; 0], "{name}");
    assert!(world.ledger.rows().is_empty(), "{name}");
}

#[tokio::test]
async fn bodies_of_another_form_are_refused() {
    let world = World::new();
    for (name, body) in [
        ("no_object", json!([])),
        ("unknown_member", order(&world, "aws", |it| it["templateId"] = json!("aws"))),
        ("id_of_another_type", order(&world, "aws", |it| it["provisioningTemplateId"] = json!(1))),
        ("parameters_of_another_type", order(&world, "aws", |it| it["parameters"] = json!([]))),
        ("parameter_of_another_type", order(&world, "aws", |it| it["parameters"]["ThingName"] = json!(1))),
        ("parameter_null", order(&world, "aws", |it| it["parameters"]["ThingName"] = Value::Null)),
        ("neither_id_nor_group", json!({ "parameters": {} })),
        ("both_id_and_group", order(&world, "aws", |it| it["groupPath"] = json!("/a"))),
        ("needs_of_another_type", needs(&world, "own", &json!([]))),
        ("unknown_need", needs(&world, "own", &json!({ "caID": "a" }))),
        ("subject_of_another_type", needs(&world, "own", &json!({ "caId": "factory", "certInfo": "CN=a" }))),
        (
            "unknown_attribute",
            needs(&world, "own", &json!({ "caId": "factory", "certInfo": { "country": "DE", "title": "a" } })),
        ),
        ("country_of_another_type", needs(&world, "own", &json!({ "caId": "factory", "certInfo": { "country": 49 } }))),
        (
            "days_of_another_type",
            needs(&world, "own", &json!({ "caId": "factory", "certInfo": { "country": "DE", "daysExpiry": "90" } })),
        ),
        (
            "days_below_0",
            needs(&world, "own", &json!({ "caId": "factory", "certInfo": { "country": "DE", "daysExpiry": -1 } })),
        ),
        (
            "unknown_key_type",
            needs(&world, "own", &json!({ "caId": "a", "certInfo": { "country": "DE" }, "keyType": "DSA" })),
        ),
        ("status_revoked", needs(&world, "given", &json!({ "certificatePem": "a", "certificateStatus": "REVOKED" }))),
        ("name_that_is_empty", order(&world, "aws", |it| it["parameters"][""] = json!("a"))),
        ("value_too_long", order(&world, "aws", |it| it["parameters"]["Colour"] = json!("a".repeat(4_097)))),
    ] {
        assert_refused(&world, name, &body, "malformed").await;
    }
}

#[tokio::test]
async fn what_cannot_be_read_as_a_body_is_refused() {
    let world = World::new();
    let good = world.order("aws").to_string();
    let long = order(&world, "aws", |it| it["parameters"]["Colour"] = json!("a".repeat(65_536))).to_string();
    for (name, content_type, body, reason) in [
        ("form", "application/x-www-form-urlencoded", good.clone(), "media_type"),
        ("text", "text/plain", good.clone(), "media_type"),
        ("another_version", "application/vnd.aws-cdf-v2.0+json", good.clone(), "media_type"),
        ("no_media_type", "", good.clone(), "media_type"),
        ("no_json", "application/json", "{".into(), "malformed"),
        ("no_utf_8_name", "application/json", "{\"\u{0}\":1}".into(), "malformed"),
        ("empty", "application/json", String::new(), "malformed"),
        ("too_deep", "application/json", "[".repeat(10_000), "malformed"),
        ("twice", "application/json", r#"{"groupPath":"/a","groupPath":"/b"}"#.into(), "malformed"),
        ("too_long", "application/json", long, "oversized"),
    ] {
        let request = Request::builder().method(Method::POST).uri("/things").header(header::CONTENT_TYPE, content_type);
        let answer = world.send(request.body(Body::from(body)).unwrap()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{name}: {}", answer.body);
        assert!(answer.json()["error"].is_string(), "{name}");
        assert_eq!(world.log.audited(), ["device:provision", "refused", reason], "{name}");
    }
    assert_eq!(world.changes(), [] as [&str; 0]);
}

#[tokio::test]
async fn templates_that_are_not_there_or_not_valid_are_refused() {
    let world = World::new();
    world.objects.put("templates/text.json", "permit everything");
    world.objects.put("templates/long.json", " ".repeat(70_000));
    world.objects.put("templates/options.json", r#"{"Resources":{},"CDF":{"createEverything":true}}"#);
    world.objects.put("templates/assignments.json", "{}");
    let long = "a".repeat(129);
    for (id, reason) in [
        ("absent", "unknown_template"),
        ("", "unknown_template"),
        ("../policies/ops", "unknown_template"),
        ("a/b", "unknown_template"),
        ("own.json", "unknown_template"),
        ("assignments", "unknown_template"),
        (&long, "unknown_template"),
        ("text", "invalid_template"),
        ("long", "invalid_template"),
        ("options", "invalid_template"),
    ] {
        assert_refused(&world, id, &json!({ "provisioningTemplateId": id }), reason).await;
    }
}

#[tokio::test]
async fn orders_that_do_not_fit_the_option_are_refused() {
    let world = World::new();
    let id = world.ca.id().to_string();
    let subject = || json!({ "commonName": "sensor-1", "country": "DE" });
    let with_days = |days: u32| json!({ "caId": "factory", "certInfo": { "country": "DE", "daysExpiry": days } });
    let request = csr("sensor-1").to_pem();
    let pem = foreign_certificate().to_pem();
    let arn = |id: &str| format!("arn:aws:iot:eu-central-1:123456789012:cacert/{id}");
    for (name, template, need, reason) in [
        ("nothing", "own", json!({}), "missing_member"),
        ("no_ca", "own", json!({ "certInfo": subject() }), "missing_member"),
        ("no_subject", "own", json!({ "caId": id }), "missing_member"),
        ("no_country", "own", json!({ "caId": id, "certInfo": { "commonName": "sensor-1" } }), "missing_member"),
        ("path_as_ca", "own", json!({ "caId": "../../token-key", "certInfo": subject() }), "malformed_ca_id"),
        ("ca_with_a_path", "own", json!({ "caId": format!("{id}/../a"), "certInfo": subject() }), "malformed_ca_id"),
        ("short_ca", "own", json!({ "caId": id[1..], "certInfo": subject() }), "malformed_ca_id"),
        ("upper_case_ca", "own", json!({ "caId": "A".repeat(64), "certInfo": subject() }), "malformed_ca_id"),
        ("unknown_ca", "own", json!({ "caId": "a".repeat(64), "certInfo": subject() }), "unknown_ca"),
        ("country_too_long", "own", json!({ "caId": id, "certInfo": { "country": "DEU" } }), "unacceptable"),
        (
            "name_too_long",
            "own",
            json!({ "caId": id, "certInfo": { "country": "DE", "commonName": "a".repeat(65) } }),
            "unacceptable",
        ),
        ("no_days", "own", with_days(0), "days"),
        ("days_beyond_the_most", "own", with_days(1_001), "days"),
        ("csr_of_no_pem", "own", json!({ "caId": id, "csr": "garbage" }), "unacceptable"),
        ("csr_that_is_a_certificate", "own", json!({ "caId": id, "csr": pem }), "unacceptable"),
        ("csr_with_a_bad_signature", "own", json!({ "caId": id, "csr": WRONG_SIGNATURE }), "unacceptable"),
        ("csr_that_asks_for_ca_rights", "own", json!({ "caId": id, "csr": ASKS_FOR_CA_RIGHTS }), "unacceptable"),
        (
            "csr_for_another_subject",
            "own",
            json!({ "caId": id, "csr": request, "certInfo": { "commonName": "sensor-2" } }),
            "subject",
        ),
        ("csr_and_key_type", "own", json!({ "caId": id, "csr": request, "keyType": "EC_P256" }), "unused"),
        ("certificate_for_own", "own", json!({ "caId": id, "certInfo": subject(), "certificatePem": pem }), "unused"),
        ("arn_for_own", "own", json!({ "caId": id, "certInfo": subject(), "acmpcaCaArn": PRIVATE_CA }), "unused"),
        ("anything_for_aws", "aws", json!({ "certInfo": subject() }), "unused"),
        ("anything_for_none", "bare", json!({ "caId": id }), "unused"),
        ("no_certificate", "given", json!({}), "missing_member"),
        ("certificate_of_no_pem", "given", json!({ "certificatePem": "garbage" }), "unacceptable"),
        ("two_certificates", "given", json!({ "certificatePem": format!("{pem}{pem}") }), "unacceptable"),
        ("ca_for_given", "given", json!({ "certificatePem": pem, "caId": id }), "unused"),
        ("no_private_ca", "private", json!({ "awsiotCaAlias": "factory", "certInfo": subject() }), "missing_member"),
        ("no_registered_ca", "private", json!({ "acmpcaCaAlias": "cloud", "certInfo": subject() }), "missing_member"),
        (
            "unknown_alias",
            "private",
            json!({ "acmpcaCaAlias": "fog", "awsiotCaAlias": "factory", "certInfo": subject() }),
            "unknown_alias",
        ),
        (
            "unknown_registered_alias",
            "private",
            json!({ "acmpcaCaAlias": "cloud", "awsiotCaAlias": "fog", "certInfo": subject() }),
            "unknown_alias",
        ),
        (
            "arn_with_a_path",
            "private",
            json!({ "acmpcaCaAlias": "cloud", "awsiotCaArn": arn("../a"), "certInfo": subject() }),
            "malformed_ca_id",
        ),
        (
            "arn_of_something_else",
            "private",
            json!({ "acmpcaCaAlias": "cloud", "awsiotCaArn": format!("arn:aws:iot:::cert/{id}"), "certInfo": subject() }),
            "malformed_ca_id",
        ),
        (
            "unknown_registered_ca",
            "private",
            json!({ "acmpcaCaAlias": "cloud", "awsiotCaArn": arn(&"a".repeat(64)), "certInfo": subject() }),
            "unknown_ca",
        ),
        (
            "registered_ca_that_none_needs",
            "private_alone",
            json!({ "acmpcaCaAlias": "cloud", "awsiotCaAlias": "factory", "certInfo": subject() }),
            "unused",
        ),
    ] {
        assert_refused(&world, name, &needs(&world, template, &need), reason).await;
    }
    let absent = needs(&world, "private_alone", &json!({ "acmpcaCaArn": "arn:absent", "certInfo": subject() }));
    let answer = world.provision(&absent).await;
    assert_eq!((answer.status, world.log.audited()[2].as_str()), (StatusCode::BAD_REQUEST, "unknown_ca"));
    assert_eq!(world.changes(), ["sign"], "nothing in AWS IoT");
}

#[tokio::test]
async fn what_the_option_fills_in_is_no_callers() {
    let world = World::new();
    for template in ["own", "own_by_id", "aws", "given", "private", "private_alone"] {
        for parameter in ["CertificateId", "CertificateArn", "CertificatePem", "CaCertificatePem"] {
            let body = order(&world, template, |it| it["parameters"][parameter] = json!("a"));
            assert_refused(&world, &format!("{template} {parameter}"), &body, "filled_in").await;
        }
    }
}

#[tokio::test]
async fn what_aws_iot_would_refuse_is_refused_before_there_is_a_certificate() {
    let world = World::new();
    let without_name = order(&world, "aws", |it| it["parameters"] = json!({}));
    assert_refused(&world, "missing_parameter", &without_name, "missing_parameter").await;
    let of_aws = order(&world, "aws", |it| it["parameters"]["AWS::IoT::Certificate::Id"] = json!("a"));
    assert_refused(&world, "parameter_of_aws_iot", &of_aws, "filled_in").await;
}

#[tokio::test]
async fn authorities_that_cannot_sign_are_refused() {
    type Damage = fn(&World);
    let damaged: [(&str, Damage, &str); 9] = [
        ("inactive", |world| world.iot.state().cas.values_mut().for_each(|ca| ca.active = false), "inactive_ca"),
        ("no_key", |world| world.parameters.values.lock().unwrap().clear(), "unknown_ca"),
        ("key_of_another_ca", |world| set_key(world, &root("other", NOW, 10).1), "unusable_ca"),
        ("key_of_no_pem", |world| set_key(world, "garbage"), "unusable_ca"),
        ("key_that_is_a_certificate", |world| set_key(world, &world.ca.to_pem()), "unusable_ca"),
        ("ended", |world| replace(world, NOW - 30 * 86_400, 10), "unusable_ca"),
        ("not_begun", |world| replace(world, NOW + 86_400, 10), "unusable_ca"),
        ("no_authority", |world| set_certificate(world, &foreign_certificate().to_pem()), "unusable_ca"),
        ("no_certificate", |world| set_certificate(world, "garbage"), "unusable_ca"),
    ];
    for (name, damage, reason) in damaged {
        let world = World::new();
        damage(&world);
        assert_refused(&world, name, &world.order("own"), reason).await;
    }
    let world = World::new();
    world.iot.state().cas.values_mut().for_each(|ca| ca.active = false);
    assert_refused(&world, "inactive_beside_a_private_ca", &world.order("private"), "inactive_ca").await;
}

fn set_key(world: &World, pem: &str) {
    world.parameters.values.lock().unwrap().values_mut().for_each(|key| pem.clone_into(key));
}

fn set_certificate(world: &World, pem: &str) {
    world.iot.state().cas.values_mut().for_each(|ca| pem.clone_into(&mut ca.pem));
}

/// Another CA under the same id.
fn replace(world: &World, began: u64, days: u32) {
    let (certificate, key) = root("Example CA", began, days);
    set_certificate(world, &certificate.to_pem());
    set_key(world, &key);
}

#[tokio::test]
async fn a_group_finds_the_nearest_template() {
    let world = World::new();
    for (name, ancestors) in [("plant", vec![]), ("hall", vec!["plant"]), ("line", vec!["plant", "hall"])] {
        world.group(name, &ancestors);
    }
    for (assignments, path, template) in [
        (json!({ "line": "aws" }), "/plant/hall/line", "aws"),
        (json!({ "hall": "aws", "plant": "bare" }), "/plant/hall/line", "aws"),
        (json!({ "line": "aws", "plant": "bare" }), "/plant/hall", "bare"),
        (json!({ "plant": "bare" }), "/plant/hall/line", "bare"),
        (json!({ "plant": "bare" }), "/plant", "bare"),
    ] {
        world.objects.put("templates/assignments.json", assignments.to_string());
        let answer = world.provision(&json!({ "groupPath": path, "parameters": { "ThingName": "a" } })).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{path}: {}", answer.body);
        assert_eq!(world.log.event()["wants"], format!("{template} a"));
    }
}

#[tokio::test]
async fn groups_that_lead_to_no_template_are_refused() {
    let world = World::new();
    for (name, ancestors) in [("plant", vec![]), ("hall", vec!["plant"]), ("yard", vec![])] {
        world.group(name, &ancestors);
    }
    world.objects.put("templates/assignments.json", r#"{"plant":"aws","gone":"aws"}"#);
    let long = format!("/{}", "a".repeat(129));
    for (path, reason) in [
        ("", "malformed"),
        ("/", "malformed"),
        ("plant", "malformed"),
        ("/plant/", "malformed"),
        ("//plant", "malformed"),
        ("/plant/../plant", "malformed"),
        ("/pl ant", "malformed"),
        (&long, "malformed"),
        ("/gone", "unknown_group"),
        ("/hall", "unknown_group"),
        ("/yard/hall", "unknown_group"),
        ("/plant/plant", "unknown_group"),
        ("/plant/yard/hall", "unknown_group"),
        ("/yard", "no_assignment"),
    ] {
        assert_refused(&world, path, &json!({ "groupPath": path }), reason).await;
    }
    world.objects.remove("templates/assignments.json");
    assert_refused(&world, "no assignments", &json!({ "groupPath": "/plant" }), "no_assignment").await;
    for unusable in [r#"["aws"]"#, r#"{"plant":"../policies/ops"}"#] {
        world.objects.put("templates/assignments.json", unusable);
        let answer = world.provision(&json!({ "groupPath": "/plant" })).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(world.log.audited(), ["device:provision", "failed", "assignments"]);
    }
}

#[tokio::test]
async fn what_aws_refuses_is_told_and_what_is_not_there_is_the_requests_fault() {
    let world = World::new();
    for (name, trouble, status) in [
        ("refused", Trouble::Invalid, StatusCode::BAD_REQUEST),
        ("missing", Trouble::Missing, StatusCode::BAD_REQUEST),
        ("other_settings", Trouble::Conflict, StatusCode::CONFLICT),
    ] {
        world.faults.clear();
        world.faults.fail("register", trouble);
        let answer = world.provision(&world.order("bare")).await;
        assert_eq!(answer.status, status, "{name}");
        assert_eq!(answer.json().as_object().unwrap().len(), 1, "{name}: {}", answer.body);
    }
    world.faults.clear();
    let red = order(&world, "bare", |it| it["parameters"]["Colour"] = json!("red"));
    assert_eq!(world.provision(&red).await.status, StatusCode::CREATED);
    let blue = order(&world, "bare", |it| it["parameters"]["Colour"] = json!("blue"));
    assert_eq!(world.provision(&blue).await.status, StatusCode::CONFLICT);
}
