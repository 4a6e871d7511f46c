//! `POST /v2/enroll/revocation`: a subject's own certificate, or what policy lets a bearer revoke.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod world;

use axum::http::StatusCode;
use pki::Certificate;
use serde_json::{Value, json};
use test_support::{Answered, MALFORMED, REFUSED};
use world::{
    ADDRESS, World,
    ca::{StepCa, forged},
    granted, other_than,
};

const PATH: &str = "/v2/enroll/revocation";

fn pem(certificates: &[&Certificate]) -> String {
    certificates.iter().map(|certificate| certificate.to_pem()).collect()
}

async fn by_bearer(world: &World, scope: &str, body: &Value) -> Answered {
    world.post_from(ADDRESS, PATH, body, Some(&world.access_token(scope, "192.0.2.0/24"))).await
}

#[tokio::test]
async fn a_subject_with_a_code_gets_a_token_for_the_certificate_that_it_shows() {
    let world = World::new();
    let leaf = world.step_ca.leaf("alice");
    let serial = leaf.certificate.serial_decimal();
    let code = world.code("alice", "sms").await;
    let body = json!({
        "serial": serial, "subject": "alice", "code": code, "certificate": world.step_ca.shown(&leaf),
    });
    let answer = world.post(PATH, &body).await;
    let claims = granted(&answer);
    assert_eq!((&claims["sub"], &claims["aud"]), (&json!(serial), &json!("https://ca.example.com:9000/1.0/revoke")));
    assert!(claims.get("sans").is_none());
    let expected = json!({
        "action": "enroll:revocation", "outcome": "granted", "request_id": "request-1", "source_ip": "192.0.2.7",
        "wire": "v2", "subject": "alice", "channel": "sms", "serial": serial, "policies": "enroll.cedar#3",
        "jti": claims["jti"],
    });
    assert_eq!(world.log.event(), expected);
    let again = world.post(PATH, &body).await;
    assert_eq!((again.status, again.body.as_str()), (StatusCode::UNAUTHORIZED, REFUSED));
    assert_eq!(world.log.audited(), ["enroll:revocation", "refused", "no_code"]);
}

#[tokio::test]
async fn a_certificate_of_somebody_else_is_refused_and_no_try_is_counted() {
    let world = World::new();
    let StepCa { root, intermediate } = &world.step_ca;
    let (mine, theirs) = (world.step_ca.leaf("alice"), world.step_ca.leaf("bob"));
    let (my_serial, serial) = (mine.certificate.serial_decimal(), theirs.certificate.serial_decimal());
    let forged = forged(&mine, "alice", &serial);
    let other_ca = StepCa::new();
    let foreign = other_ca.leaf("alice");
    let between = intermediate.certificate();
    let mixed = pem(&[&foreign.certificate, between, root]);
    let code = world.code("alice", "sms").await;
    world.ledger.done();
    for (name, serial, certificate) in [
        ("bobs", &serial, world.step_ca.shown(&theirs)),
        ("bobs_number_and_my_certificate", &serial, world.step_ca.shown(&mine)),
        ("signed_by_my_own_key", &serial, pem(&[&forged, &mine.certificate, between, root])),
        ("signed_by_my_own_key_without_my_certificate", &serial, pem(&[&forged, between, root])),
        ("of_another_ca", &foreign.certificate.serial_decimal(), other_ca.shown(&foreign)),
        ("of_another_ca_under_this_root", &foreign.certificate.serial_decimal(), mixed),
        ("without_the_intermediate", &my_serial, pem(&[&mine.certificate, root])),
        ("without_the_root", &my_serial, pem(&[&mine.certificate, between])),
        ("alone", &my_serial, mine.certificate.to_pem()),
        ("in_another_order", &my_serial, pem(&[&mine.certificate, root, between])),
        ("the_root", &root.serial_decimal(), pem(&[root])),
        ("the_root_twice", &root.serial_decimal(), pem(&[root, root])),
        ("the_intermediate", &between.serial_decimal(), pem(&[between, root])),
        ("no_pem", &my_serial, "garbage".to_owned()),
        ("empty", &my_serial, String::new()),
        ("with_a_key", &my_serial, world.step_ca.shown(&mine) + mine.key.to_pem().expose()),
        ("too_long", &my_serial, world.step_ca.shown(&mine) + &" ".repeat(32 * 1024)),
        ("too_many", &my_serial, pem(&[&mine.certificate, between, root, root, root, root, root, root, root])),
    ] {
        let body = json!({ "serial": serial, "subject": "alice", "code": code, "certificate": certificate });
        let answer = world.post(PATH, &body).await;
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::UNAUTHORIZED, REFUSED), "{name}");
        assert_eq!(world.log.audited(), ["enroll:revocation", "refused", "wrong_certificate"], "{name}");
        assert_eq!(world.ledger.done(), ["count count#attempt"], "{name}");
    }
    assert!(world.issued().is_empty());
    let body = json!({
        "serial": my_serial, "subject": "alice", "code": code, "certificate": world.step_ca.shown(&mine),
    });
    assert_eq!(world.post(PATH, &body).await.status, StatusCode::OK, "the code is good after all of it");
}

#[tokio::test]
async fn an_authoritys_certificate_is_nobodys_own() {
    let world = World::new();
    world.objects.put("subjects/more.json", r#"{"Intermediate": {"webhook": "a"}, "Root": {"webhook": "b"}}"#);
    let StepCa { root, intermediate } = &world.step_ca;
    for (subject, chain) in [("Intermediate", vec![intermediate.certificate(), root]), ("Root", vec![root, root])] {
        let code = world.code(subject, "webhook").await;
        let body = json!({
            "serial": chain[0].serial_decimal(), "subject": subject, "code": code, "certificate": pem(&chain),
        });
        assert_eq!(world.post(PATH, &body).await.status, StatusCode::UNAUTHORIZED, "{subject}");
        assert_eq!(world.log.audited(), ["enroll:revocation", "refused", "wrong_certificate"], "{subject}");
    }
}

#[tokio::test]
async fn a_wrong_code_is_refused_whatever_certificate_is_shown() {
    let world = World::new();
    let leaf = world.step_ca.leaf("alice");
    let code = world.code("alice", "sms").await;
    let body = |subject: &str, code: &str| {
        let serial = leaf.certificate.serial_decimal();
        json!({ "serial": serial, "subject": subject, "code": code, "certificate": world.step_ca.shown(&leaf) })
    };
    for (name, body, reason) in [
        ("wrong", body("alice", &other_than(&code)), "wrong_code"),
        ("for_another_subject", body("bob", &code), "wrong_certificate"),
    ] {
        let answer = world.post(PATH, &body).await;
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::UNAUTHORIZED, REFUSED), "{name}");
        assert_eq!(world.log.audited(), ["enroll:revocation", "refused", reason], "{name}");
    }
}

#[tokio::test]
async fn a_code_for_a_certificate_needs_subject_and_certificate() {
    let world = World::new();
    let leaf = world.step_ca.leaf("alice");
    let shown = world.step_ca.shown(&leaf);
    let whole = json!({ "serial": "7", "subject": "alice", "code": "12345678", "certificate": shown });
    let without = |members: &[&str]| {
        let mut body = whole.clone();
        for member in members {
            body.as_object_mut().unwrap().remove(*member);
        }
        body
    };
    for (name, body) in [
        ("no_serial", without(&["serial"])),
        ("no_certificate", without(&["certificate"])),
        ("no_subject", without(&["subject"])),
        ("neither", without(&["subject", "certificate"])),
        ("a_subject_alone", without(&["code", "certificate"])),
    ] {
        let answer = world.post(PATH, &body).await;
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::BAD_REQUEST, MALFORMED), "{name}");
        assert_eq!(world.log.audited(), ["enroll:revocation", "refused", "malformed"], "{name}");
    }
    for body in [without(&["code", "subject", "certificate"]), without(&["code"])] {
        assert_eq!(world.post(PATH, &body).await.status, StatusCode::UNAUTHORIZED);
        assert_eq!(world.log.audited(), ["enroll:revocation", "refused", "no_proof"]);
    }
    assert_eq!(world.ledger.done(), [""; 0]);
}

#[tokio::test]
async fn a_bearer_revokes_by_number_where_policy_allows_it() {
    let world = World::new();
    let claims =
        granted(&by_bearer(&world, "revoke", &json!({ "serial": "340282366920938463463374607431768211455" })).await);
    assert_eq!(claims["sub"], "340282366920938463463374607431768211455");
    let event = world.log.event();
    assert_eq!((&event["bearer"], &event["serial"]), (&json!("group:web"), &claims["sub"]));
    assert!(event.get("subject").is_none(), "nobody knows whose it is");
    assert_eq!(by_bearer(&world, "enroll", &json!({ "serial": "7" })).await.status, StatusCode::FORBIDDEN);
    assert_eq!(world.log.audited(), ["enroll:revocation", "denied", "policy"]);
    assert_eq!(world.ledger.done(), ["spend ott"]);
}

#[tokio::test]
async fn policy_knows_whose_certificate_a_bearer_shows() {
    let world = World::new();
    world.objects.put(
        "policies/enroll.cedar",
        r#"permit (principal == Subject::"group:web", action == Action::"certificate:revoke", resource)
           when { context has subject && context.subject like "pump-*" };"#,
    );
    let (pump, alice) = (world.step_ca.leaf("pump-7"), world.step_ca.leaf("alice"));
    let body = |leaf: &world::ca::Leaf| json!({ "serial": leaf.certificate.serial_decimal(), "certificate": world.step_ca.shown(leaf) });
    assert_eq!(by_bearer(&world, "", &body(&pump)).await.status, StatusCode::OK);
    assert_eq!(world.log.event()["subject"], "pump-7");
    assert_eq!(by_bearer(&world, "", &body(&alice)).await.status, StatusCode::FORBIDDEN);
    assert_eq!(by_bearer(&world, "", &json!({ "serial": "7" })).await.status, StatusCode::FORBIDDEN, "not shown");
    // A bearer cannot show one certificate and name another.
    for (name, serial, subject) in [
        ("number", alice.certificate.serial_decimal(), None),
        ("subject", pump.certificate.serial_decimal(), Some("alice")),
    ] {
        let body = json!({ "serial": serial, "subject": subject, "certificate": world.step_ca.shown(&pump) });
        let answer = by_bearer(&world, "", &body).await;
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::UNAUTHORIZED, REFUSED), "{name}");
        assert_eq!(world.log.audited(), ["enroll:revocation", "refused", "wrong_certificate"], "{name}");
    }
    let named = json!({ "serial": pump.certificate.serial_decimal(), "subject": "pump-7", "certificate": world.step_ca.shown(&pump) });
    assert_eq!(by_bearer(&world, "", &named).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_code_does_not_revoke_where_policy_forbids_it() {
    let world = World::new();
    world
        .objects
        .put("policies/enroll.cedar", r#"permit (principal, action == Action::"certificate:enroll", resource);"#);
    let leaf = world.step_ca.leaf("alice");
    let code = world.code("alice", "sms").await;
    let body = json!({
        "serial": leaf.certificate.serial_decimal(), "subject": "alice", "code": code, "certificate": world.step_ca.shown(&leaf),
    });
    assert_eq!(world.post(PATH, &body).await.status, StatusCode::FORBIDDEN);
    assert_eq!(world.token("alice", &code).await.status, StatusCode::OK, "it was not spent");
}
