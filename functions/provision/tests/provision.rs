//! Each way to a certificate, from the request to AWS IoT, the ledger and the log; and what policy makes of it.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod world;

use std::collections::BTreeMap;

use axum::{
    body::Body,
    http::{Method, Request, StatusCode, header},
};
use pki::{DeviceKey, KeyKind};
use serde_json::{Value, json};
use world::{
    CDF, IOT_ARNS, NOW, PRIVATE_CA, PRIVATE_CA_ROLE, World, arn, certificate, csr, foreign_certificate, subject,
};

const DAY: u64 = 86_400;

fn members(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// The one certificate that AWS IoT has: its id and status.
fn registered(world: &World) -> (String, String) {
    let state = world.iot.state();
    assert_eq!(state.certificates.len(), 1);
    let (id, entry) = state.certificates.first_key_value().unwrap();
    assert_eq!(state.things["sensor-1"].certificates.iter().collect::<Vec<_>>(), [&arn("cert", id)]);
    assert!(entry.policies.contains("devices"));
    (id.clone(), entry.status.clone())
}

#[tokio::test]
async fn each_option_ends_in_a_thing_with_its_certificate() {
    let made = ["certificatePem", "publicKey", "privateKey", "resourceArns"].as_slice();
    let by_known_ca = ["certificatePem", "caCertificatePem", "publicKey", "privateKey", "resourceArns"].as_slice();
    let brought = ["certificatePem", "resourceArns"].as_slice();
    for (template, expected, calls) in [
        ("own", by_known_ca, ["spend", "register"].as_slice()),
        ("own_by_id", by_known_ca, &["spend", "register_certificate", "register"]),
        ("aws", made, &["create_certificate", "spend", "register"]),
        ("given", brought, &["spend", "register_certificate", "register"]),
        ("private", by_known_ca, &["sign", "spend", "register"]),
        ("private_alone", made, &["sign", "spend", "register_certificate", "register"]),
    ] {
        let world = World::new();
        let answer = world.provision(&world.order(template)).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{template}: {}", answer.body);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(world.changes(), calls, "{template}");
        let body = answer.json();
        assert_eq!(members(&body), expected, "{template}");
        let certificate = certificate(&answer);
        let id = certificate.id().to_string();
        assert_eq!(registered(&world), (id.clone(), "ACTIVE".into()), "{template}");
        assert_eq!(
            body["resourceArns"],
            json!({
                "certificate": arn("cert", &id),
                "policy": arn("policy", "devices"),
                "thing": arn("thing", "sensor-1"),
            }),
            "{template}"
        );
        if let Some(key) = body["privateKey"].as_str() {
            let key = DeviceKey::from_pem(key).unwrap();
            assert_eq!(key.public_key(), certificate.public_key().unwrap(), "{template}");
            assert_eq!(body["publicKey"], key.public_key().to_pem(), "{template}");
            assert!(!key.public_key().is_rsa());
        }
        let is_ours = !["aws", "given"].contains(&template);
        assert_eq!(certificate.is_signed_by(&world.ca), is_ours, "{template}");
        if is_ours {
            assert_eq!(certificate.subject_text(), "CN=sensor-1,C=DE");
            assert_eq!((certificate.not_before(), certificate.not_after()), (NOW - 300, NOW + 365 * DAY));
        }
    }
}

#[tokio::test]
async fn a_template_without_an_option_is_aws_iots_own_business() {
    let world = World::new();
    let answer = world.provision(&world.order("bare")).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    assert_eq!(answer.json(), json!({ "resourceArns": { "thing": arn("thing", "sensor-1") } }));
    assert_eq!(world.changes(), ["register"]);
    let id = world.iot.state().add(&foreign_certificate().to_pem(), "ACTIVE").unwrap();
    let mut body = world.order("plain");
    body["parameters"]["CertificateId"] = json!(id);
    let answer = world.provision(&body).await;
    assert_eq!(certificate(&answer).id().as_str(), id);
    assert_eq!(members(&answer.json()), ["certificatePem", "resourceArns"]);
    assert_eq!(registered(&world).0, id);
}

#[tokio::test]
async fn a_request_of_the_devices_own_keeps_its_key() {
    for (template, needs) in [
        ("own", json!({ "caId": "factory" })),
        ("own_by_id", json!({ "caId": "factory" })),
        ("private", json!({ "acmpcaCaAlias": "cloud", "awsiotCaAlias": "factory" })),
        ("private_alone", json!({ "acmpcaCaAlias": "cloud" })),
    ] {
        let world = World::new();
        let csr = csr("sensor-1");
        let mut body = world.order(template);
        body["cdfProvisioningParameters"] = needs;
        body["cdfProvisioningParameters"]["csr"] = json!(csr.to_pem());
        body["cdfProvisioningParameters"]["certInfo"] = json!({ "daysExpiry": 30 });
        let answer = world.provision(&body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{template}: {}", answer.body);
        let ca: &[&str] = if template == "private_alone" { &[] } else { &["caCertificatePem"] };
        assert_eq!(members(&answer.json()), [&["certificatePem"], ca, &["resourceArns"]].concat(), "{template}");
        let certificate = certificate(&answer);
        assert_eq!(certificate.public_key().as_ref(), Ok(csr.public_key()));
        assert_eq!(
            (certificate.subject_text().as_str(), certificate.not_after()),
            ("CN=sensor-1,C=DE", NOW + 30 * DAY)
        );
    }
}

#[tokio::test]
async fn key_days_and_subject_are_the_requests() {
    let world = World::new();
    let mut body = world.order("own");
    body["cdfProvisioningParameters"]["keyType"] = json!("RSA_2048");
    body["cdfProvisioningParameters"]["certInfo"] = json!({
        "commonName": "sensor-1",
        "organization": "Example",
        "organizationalUnit": "Line 1",
        "locality": "Giesing",
        "stateName": "Bayern",
        "country": "DE",
        "emailAddress": "sensors@example.com",
        "daysExpiry": 1_000,
    });
    let answer = world.provision(&body).await;
    let certificate = certificate(&answer);
    assert!(certificate.public_key().unwrap().is_rsa());
    assert_eq!(
        certificate.subject_text(),
        "emailAddress=sensors@example.com,CN=sensor-1,OU=Line 1,O=Example,L=Giesing,ST=Bayern,C=DE"
    );
    assert_eq!(certificate.not_after(), NOW + 1_000 * DAY);
}

#[tokio::test]
async fn a_deployment_with_short_lives_shortens_the_default() {
    let mut world = World::new();
    world.config.max_days = 7;
    world.start();
    assert_eq!(world.provisioned("sensor-1").await.not_after(), NOW + 7 * DAY);
}

#[tokio::test]
async fn a_private_ca_is_asked_in_its_own_role() {
    for (needs, role) in [
        (json!({ "acmpcaCaAlias": "cloud" }), Some(PRIVATE_CA_ROLE)),
        (json!({ "acmpcaCaArn": PRIVATE_CA }), Some(PRIVATE_CA_ROLE)),
        (json!({ "acmpcaCaAlias": "cloud", "acmpcaCaArn": "arn:other" }), Some(PRIVATE_CA_ROLE)),
    ] {
        let world = World::new();
        let mut body = world.order("private_alone");
        body["cdfProvisioningParameters"] = needs;
        body["cdfProvisioningParameters"]["certInfo"] = json!({ "country": "DE" });
        assert_eq!(world.provision(&body).await.status, StatusCode::CREATED);
        let orders = world.private_cas.orders.lock().unwrap();
        assert_eq!(*orders, [(PRIVATE_CA.to_owned(), role.map(str::to_owned), 365)]);
    }
    let mut world = World::new();
    world.config.private_cas.clear();
    world.start();
    assert_eq!(world.provision(&world.order("private_alone")).await.status, StatusCode::CREATED);
    assert_eq!(world.private_cas.orders.lock().unwrap()[0].1, None);
}

#[tokio::test]
async fn what_a_private_ca_signs_for_another_is_not_registered() {
    let other_key = csr("sensor-1");
    for (name, signed) in [("another_key", other_key), ("another_subject_and_key", csr("admin"))] {
        let world = World::new();
        *world.private_cas.instead.lock().unwrap() = Some(signed);
        let answer = world.provision(&world.order("private")).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{name}");
        assert_eq!(world.log.audited(), ["device:provision", "failed", "private_ca"]);
        assert!(world.iot.state().certificates.is_empty());
    }
    let key = DeviceKey::generate(KeyKind::EcdsaP256).unwrap();
    let world = World::new();
    *world.private_cas.instead.lock().unwrap() = Some(key.csr(&subject("admin")).unwrap());
    let mut body = world.order("private");
    body["cdfProvisioningParameters"] = json!({
        "acmpcaCaAlias": "cloud",
        "awsiotCaAlias": "factory",
        "csr": key.csr(&subject("sensor-1")).unwrap().to_pem(),
    });
    assert_eq!(world.provision(&body).await.status, StatusCode::SERVICE_UNAVAILABLE, "another subject");
}

#[tokio::test]
async fn a_given_certificate_has_the_status_that_is_asked_for() {
    for (asked, status) in [(None, "ACTIVE"), (Some("ACTIVE"), "ACTIVE"), (Some("INACTIVE"), "INACTIVE")] {
        let world = World::new();
        let mut body = world.order("given");
        if let Some(asked) = asked {
            body["cdfProvisioningParameters"]["certificateStatus"] = json!(asked);
        }
        assert_eq!(world.provision(&body).await.status, StatusCode::CREATED);
        assert_eq!(registered(&world).1, status);
    }
}

#[tokio::test]
async fn where_the_template_wants_it_inactive_no_certificate_is_ever_active() {
    for template in ["own", "own_by_id", "aws", "given", "private", "private_alone"] {
        let world = World::new();
        let mut inactive: Value =
            serde_json::from_slice(&world.objects.peek(&format!("templates/{template}.json")).unwrap()).unwrap();
        inactive["Resources"]["certificate"]["Properties"]["Status"] = json!("INACTIVE");
        world.template(template, &inactive);
        assert_eq!(world.provision(&world.order(template)).await.status, StatusCode::CREATED);
        assert_eq!(registered(&world).1, "INACTIVE", "{template}");
    }
}

#[tokio::test]
async fn whoever_speaks_the_frameworks_media_type_gets_it() {
    let world = World::new();
    for (accept, content_type, expected) in [
        ("", CDF, CDF),
        ("*/*", CDF, CDF),
        (CDF, "application/json", CDF),
        ("text/html, application/vnd.aws-cdf-v1.0+json;q=0.9", "application/json; charset=utf-8", CDF),
        ("", "application/vnd.aws-cdf-v1.0+json; charset=utf-8", CDF),
        ("*/*", "application/json", "application/json"),
        ("", "APPLICATION/JSON", "application/json"),
    ] {
        let request = Request::builder()
            .method(Method::POST)
            .uri("/things")
            .header(header::ACCEPT, accept)
            .header(header::CONTENT_TYPE, content_type);
        let answer = world.send(request.body(Body::from(world.order("aws").to_string())).unwrap()).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
        assert_eq!(answer.header("content-type"), Some(expected), "{accept} {content_type}");
    }
}

#[tokio::test]
async fn the_certificate_is_in_the_ledger_before_aws_iot_knows_it_and_in_the_log() {
    for (template, ca) in [("own", None), ("given", Some("CN=elsewhere,C=DE")), ("private", Some(PRIVATE_CA))] {
        let world = World::new();
        let answer = world.provision(&world.order(template)).await;
        let certificate = certificate(&answer);
        let id = certificate.id().to_string();
        let ca = ca.map_or_else(|| world.ca.id().to_string(), str::to_owned);
        let rows = world.ledger.rows();
        let [row] = rows.as_slice() else { panic!("one row") };
        let key = if template == "given" { format!("device#{id}#request-1") } else { format!("device#{id}") };
        assert_eq!((&row.key, row.ttl), (&key, Some(certificate.not_after() + 400 * DAY)), "{template}");
        assert_eq!(
            row.record.iter().cloned().collect::<BTreeMap<_, _>>(),
            BTreeMap::from([
                ("serial", certificate.serial()),
                ("certificate_subject", "CN=sensor-1,C=DE".into()),
                ("ca", ca.clone()),
                ("wants", format!("{template} sensor-1")),
                ("policies", "ops.cedar#0".into()),
                ("subject", "network:line1".into()),
                ("session", "session-1".into()),
                ("source_ip", "192.0.2.7".into()),
                ("request_id", "request-1".into()),
                ("made_at", NOW.to_string()),
            ])
        );
        assert_eq!(
            world.log.event(),
            json!({
                "action": "device:provision",
                "outcome": "granted",
                "request_id": "request-1",
                "source_ip": "192.0.2.7",
                "subject": "network:line1",
                "session": "session-1",
                "wants": format!("{template} sensor-1"),
                "policies": "ops.cedar#0",
                "certificate": id,
                "serial": certificate.serial(),
                "certificate_subject": "CN=sensor-1,C=DE",
                "ca": ca,
            })
        );
    }
}

#[tokio::test]
async fn what_is_filled_in_is_what_the_template_declares() {
    let world = World::new();
    let mut template = world::templates::by_pem(json!({ "createDeviceCertificate": true }));
    template["Parameters"]["CertificateArn"] = json!({ "Type": "String" });
    world.template("own", &template);
    let answer = world.provision(&world.order("own")).await;
    let certificate = certificate(&answer);
    let state = world.iot.state();
    let (_, parameters) = &state.registered[0];
    let expected = [
        ("CaCertificatePem", world.ca.to_pem()),
        ("CertificateArn", format!("{IOT_ARNS}cert/{}", certificate.id())),
        ("CertificatePem", certificate.to_pem()),
        ("ThingName", "sensor-1".into()),
    ];
    assert_eq!(parameters.iter().map(|(name, value)| (name.as_str(), value.clone())).collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_cas_key_is_read_once_and_again_after_minutes() {
    let world = World::new();
    world.provisioned("a").await;
    world.provisioned("b").await;
    let reads = || world.faults.calls().iter().filter(|call| **call == "read_secure").count();
    assert_eq!(reads(), 1);
    world.clock.advance(std::time::Duration::from_secs(300));
    world.provisioned("c").await;
    assert_eq!(reads(), 2);
}

#[tokio::test]
async fn policy_decides_on_template_certificate_scope_and_name() {
    let permit = |condition: &str| {
        format!(
            r#"permit (principal == Subject::"network:line1", action == Action::"device:provision", resource)
               when {{ {condition} }};"#
        )
    };
    let ca = "context.certificate.ca";
    for (condition, template, allowed) in [
        (r#"resource == Template::"own""#, "own", true),
        (r#"resource == Template::"aws""#, "own", false),
        (r#"context.scope.contains("things:write")"#, "own", true),
        (r#"context.scope.contains("things:delete")"#, "own", false),
        (r#"context has thing && context.thing like "sensor-*""#, "own", true),
        (r#"context has thing && context.thing like "door-*""#, "own", false),
        ("context.things == 1", "own", true),
        ("context has certificate && context.certificate.csr", "own", false),
        ("context has certificate && context.certificate.days <= 365", "own", true),
        ("context has certificate && context.certificate.days < 365", "own", false),
        (
            r#"context has certificate && context.certificate.subject has common_name &&
               context.certificate.subject.common_name == "sensor-1""#,
            "own",
            true,
        ),
        (
            r#"context has certificate && context.certificate.subject has common_name &&
               context.certificate.subject.common_name == "sensor-2""#,
            "own",
            false,
        ),
        ("context has certificate", "aws", false),
        ("context has certificate", "given", false),
        ("context has certificate", "private", true),
        (&format!(r#"context has certificate && {ca} == "{PRIVATE_CA}""#), "private", true),
        (&format!(r#"context has certificate && {ca} == "{PRIVATE_CA}""#), "own", false),
    ] {
        let world = World::new();
        world.allow(&permit(condition));
        let answer = world.provision(&world.order(template)).await;
        if allowed {
            assert_eq!(answer.status, StatusCode::CREATED, "{condition} {template}: {}", answer.body);
        } else {
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{condition} {template}");
            assert_eq!(world.log.audited(), ["device:provision", "denied", "policy"]);
            assert_eq!(answer.json(), json!({ "error": "policy does not allow this" }));
            assert_eq!(world.changes(), [] as [&str; 0], "{condition}");
        }
    }
}

#[tokio::test]
async fn policy_sees_the_subject_of_a_csr() {
    let world = World::new();
    world.allow(
        r#"permit (principal, action, resource) when { context has certificate && context.certificate.csr &&
           context.certificate.subject has common_name && context.certificate.subject.common_name like "sensor-*" };"#
            .replace("action,", r#"action == Action::"device:provision","#)
            .as_str(),
    );
    for (common_name, status) in [("sensor-7", StatusCode::CREATED), ("admin", StatusCode::FORBIDDEN)] {
        let mut body = world.order("own");
        body["cdfProvisioningParameters"] = json!({ "caId": "factory", "csr": csr(common_name).to_pem() });
        assert_eq!(world.provision(&body).await.status, status, "{common_name}");
    }
}

#[tokio::test]
async fn policy_sees_a_things_name_where_the_template_says_it() {
    let named = |name: Value| {
        let mut template = world::templates::bare();
        template["Resources"]["thing"]["Properties"]["ThingName"] = name;
        template["Parameters"]["Other"] = json!({ "Type": "String", "Default": "by-default" });
        template
    };
    for (name, condition) in [
        (json!("literal"), r#"context has thing && context.thing == "literal""#),
        (json!({ "Ref": "ThingName" }), r#"context has thing && context.thing == "sensor-1""#),
        (json!({ "Ref": "Other" }), r#"context has thing && context.thing == "by-default""#),
        (json!({ "Fn::Join": ["", ["a", { "Ref": "ThingName" }]] }), "!(context has thing)"),
        (json!({ "Ref": "Undeclared" }), "!(context has thing)"),
    ] {
        let world = World::new();
        world.template("bare", &named(name.clone()));
        world.allow(&format!(
            r#"permit (principal, action == Action::"device:provision", resource) when {{ {condition} }};"#
        ));
        assert_ne!(world.provision(&world.order("bare")).await.status, StatusCode::FORBIDDEN, "{name}");
    }
}

#[tokio::test]
async fn a_bearer_without_policies_gets_nothing_and_without_a_token_nobody_does() {
    let world = World::new();
    world.objects.remove("policies/ops.cedar");
    assert_eq!(world.provision(&world.order("aws")).await.status, StatusCode::FORBIDDEN);
    for (method, path) in [
        (Method::GET, "/things/sensor-1"),
        (Method::DELETE, "/things/sensor-1"),
        (Method::GET, "/nothing"),
        (Method::PUT, "/things"),
    ] {
        let request = Request::builder().method(method.clone()).uri(path).body(Body::empty()).unwrap();
        let status = world.send(request).await.status;
        assert!(status.is_client_error(), "{method} {path}: {status}");
    }
    assert_eq!(world.changes(), [] as [&str; 0]);
}
