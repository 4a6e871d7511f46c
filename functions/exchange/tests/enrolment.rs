//! One-time tokens of a step-ca by an exchange: each name that policy allows, and no other.
#![allow(clippy::unwrap_used, clippy::panic)]

mod fixture;

use std::time::Duration;

use axum::http::StatusCode;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use fixture::{NOW, VALUE, World, role, secret};
use ports::memory::{Failing, MEMORY_CREDENTIALS_END};
use protocol::{CsrDigest, Denial, DenialCode, EnrollmentToken, Grant, PendingAnswer, SecretValue, Want};
use step::{Ca, JwkKey};
use test_support::Answered;

const FINGERPRINT: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

const POLICY: &str = r#"
    permit (principal == Group::"web", action == Action::"certificate:enroll", resource)
    when { resource.name like "*.web.example.com" && context.wire == "v2" };
    permit (principal == Group::"web", action == Action::"certificate:enroll", resource == Subject::"10.0.0.7");
    permit (principal == Group::"batch", action == Action::"certificate:enroll", resource);
    permit (principal is Subject, action == Action::"certificate:enroll", resource);
    forbid (principal, action == Action::"certificate:enroll", resource == Subject::"admin.web.example.com");
"#;

/// A broker of a deployment with a policy for certificates, and no CA.
fn without_a_ca() -> World {
    let world = World::new();
    world.adapters.objects.put("policies/certificates.cedar", POLICY);
    world
}

/// The same with a CA whose provisioner has a JWK.
fn with_a_ca() -> World {
    let world = without_a_ca();
    world.adapters.objects.put(
        Ca::OBJECT,
        format!(
            r#"{{"url":"https://ca.example.com:9000","fingerprint":"{FINGERPRINT}","provisioner":{{"type":"JWK","name":"countersign"}}}}"#
        ),
    );
    let key = JwkKey::generate().unwrap().to_json();
    world.adapters.secrets.put("countersign/step-ca/jwk", SecretValue::Text(key));
    world
}

fn certificate(subject: &str, sans: &[&str]) -> Want {
    let sans = sans.iter().map(|name| name.parse().unwrap()).collect();
    Want::EnrollmentToken { subject: subject.parse().unwrap(), sans, csr_sha256: None }
}

/// A token for the first of several wants, or the only one.
fn granted(answer: &Answered, pending: &PendingAnswer) -> EnrollmentToken {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    match pending.open(&answer.body).unwrap().granted.swap_remove(0) {
        Grant::EnrollmentToken(token) => token,
        Grant::Secret(_) | Grant::Aws(_) | Grant::AccessToken(_) => panic!("another grant"),
    }
}

fn claims(token: &EnrollmentToken) -> serde_json::Value {
    let claims = token.token.expose().split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}

#[track_caller]
fn assert_denial(answer: &Answered, pending: &PendingAnswer, status: StatusCode, denial: Denial) {
    assert_eq!(answer.status, status, "{}", answer.body);
    let problem: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(pending.open_denial(problem["detail"].as_str().unwrap()).unwrap(), denial);
}

#[tokio::test]
async fn a_group_gets_a_token_for_the_names_that_policy_allows_it() {
    let world = with_a_ca();
    let csr = CsrDigest::of(b"a request");
    let want = Want::EnrollmentToken {
        subject: "a.web.example.com".parse().unwrap(),
        sans: vec!["a.web.example.com".parse().unwrap(), "10.0.0.7".parse().unwrap()],
        csr_sha256: Some(csr),
    };
    let (body, pending) = world.request(&[want]);
    let answer = world.post(body).await;
    let token = granted(&answer, &pending);
    assert_eq!((token.ca.url.as_str(), token.ca.fingerprint.as_str()), ("https://ca.example.com:9000", FINGERPRINT));
    assert_eq!(token.expires_at, NOW + 300);
    let claims = claims(&token);
    assert_eq!(claims["sub"], "a.web.example.com");
    assert_eq!(claims["sans"], serde_json::json!(["a.web.example.com", "10.0.0.7"]));
    assert_eq!(claims["aud"], "https://ca.example.com:9000/1.0/sign");
    assert_eq!(claims["exp"], NOW + 300);
    assert!(claims["cnf"].is_object(), "it is good for the one request");
}

#[tokio::test]
async fn what_is_granted_leaves_its_record_and_no_token_in_it() {
    let world = with_a_ca();
    let (body, pending) = world.request(&[certificate("a.web.example.com", &["b.web.example.com", "10.0.0.7"])]);
    let token = granted(&world.post(body).await, &pending);
    let rows = world.adapters.ledger.rows();
    let [exchange, ott] = &rows[..] else { panic!("the exchange and its token") };
    let record = |name: &str| exchange.record.iter().find(|(key, _)| *key == name).unwrap().1.as_str();
    let wants = "enrollment_token:a.web.example.com[b.web.example.com][10.0.0.7]";
    assert_eq!(record("wants"), wants);
    assert_eq!(record("policies"), "certificates.cedar#0 certificates.cedar#1");
    assert_eq!(ott.key, format!("ott#{}", claims(&token)["jti"].as_str().unwrap()));
    assert_eq!(ott.ttl, Some(NOW + 300 + 400 * 86_400));
    let recorded = format!("{:?}", ott.record);
    for part in [
        "a.web.example.com",
        "b.web.example.com",
        "10.0.0.7",
        "group:web",
        "192.0.2.7",
        "request-1",
        "certificates.cedar#0",
    ] {
        assert!(recorded.contains(part), "{part}: {recorded}");
    }
    assert_eq!(world.log.audited(), ["exchange", "granted", ""]);
    assert!(world.log.text().contains(wants));
    let signature = token.token.expose().rsplit('.').next().unwrap();
    assert!(!format!("{rows:?}{}", world.log.text()).contains(signature));
}

#[tokio::test]
async fn a_token_comes_with_other_grants_and_ends_before_them() {
    let world = with_a_ca();
    let wants = [certificate("a.web.example.com", &[]), secret("app/db"), role("deploy"), Want::AccessToken {}];
    let (body, pending) = world.request(&wants);
    let answer = world.post(body).await;
    let opened = pending.open(&answer.body).unwrap();
    let [Grant::EnrollmentToken(token), Grant::Secret(value), Grant::Aws(role), Grant::AccessToken(access)] =
        &opened.granted[..]
    else {
        panic!("grants are in the order of the wants")
    };
    assert_eq!(value.value.expose(), VALUE.as_bytes());
    assert_eq!((role.expires_at, access.expires_at), (MEMORY_CREDENTIALS_END, NOW + 900));
    assert_eq!((token.expires_at, opened.expires_at), (NOW + 300, Some(NOW + 300)));
    assert_eq!(claims(token)["sans"], serde_json::json!(["a.web.example.com"]), "the subject is its one name");
}

#[tokio::test]
async fn one_name_that_policy_does_not_allow_denies_it_all() {
    let world = with_a_ca();
    for (name, denied) in [
        ("the_subject", certificate("bank.example.com", &["a.web.example.com"])),
        ("the_subject_alone", certificate("bank.example.com", &[])),
        ("the_first_name", certificate("a.web.example.com", &["bank.example.com", "a.web.example.com"])),
        ("the_last_name", certificate("a.web.example.com", &["a.web.example.com", "10.0.0.7", "10.0.0.8"])),
        ("a_mailbox", certificate("a.web.example.com", &["root@example.com"])),
        ("a_uri", certificate("a.web.example.com", &["spiffe://example.com/web"])),
        ("forbidden", certificate("admin.web.example.com", &[])),
        ("forbidden_in_capitals", certificate("ADMIN.web.example.com", &[])),
        ("forbidden_name_in_capitals", certificate("a.web.example.com", &["Admin.web.example.com"])),
        ("the_groups_own_subject", certificate("web", &[])),
    ] {
        let (body, pending) = world.request(&[secret("app/db"), denied]);
        let answer = world.post(body).await;
        let denial = Denial { code: DenialCode::Denied, want: 1 };
        assert_denial(&answer, &pending, StatusCode::FORBIDDEN, denial);
        assert_eq!(world.log.audited(), ["exchange", "denied", "policy"], "{name}");
    }
    assert!(world.adapters.ledger.rows().is_empty(), "nothing was spent");
    assert!(world.log.text().contains("enrollment_token:a.web.example.com[a.web.example.com][10.0.0.7][10.0.0.8]"));
}

#[tokio::test]
async fn without_a_ca_there_is_no_such_thing() {
    let world = without_a_ca();
    let (body, pending) = world.request(&[secret("app/db"), certificate("a.web.example.com", &[])]);
    let answer = world.post(body.clone()).await;
    let denial = Denial { code: DenialCode::NotFound, want: 1 };
    assert_denial(&answer, &pending, StatusCode::NOT_FOUND, denial);
    assert_eq!(world.log.audited(), ["exchange", "denied", "not_found"]);
    assert_eq!(world.post(body).await.status, StatusCode::UNAUTHORIZED, "the request is spent");
    assert_eq!(world.adapters.ledger.rows().len(), 1, "no token has a row");
}

#[tokio::test]
async fn nobody_gets_the_name_of_the_ca_whatever_policy_says() {
    let world = with_a_ca();
    world.adapters.objects.put("policies/certificates.cedar", "permit (principal, action, resource);");
    for want in [certificate("ca.example.com", &[]), certificate("a.web.example.com", &["*.example.com"])] {
        let (body, pending) = world.request(&[want]);
        let denial = Denial { code: DenialCode::NotFound, want: 0 };
        assert_denial(&world.post(body).await, &pending, StatusCode::NOT_FOUND, denial);
    }
    let rows = world.adapters.ledger.rows();
    assert!(rows.iter().all(|row| row.key.starts_with("exchange#")), "no token has a row");
}

#[tokio::test]
async fn a_deployment_without_a_ca_starts_in_silence() {
    let world = without_a_ca();
    world.broker.prefetch().await;
    let log = world.log.text();
    let levels = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["level"].clone());
    // The group "batch" has no pool yet.
    assert_eq!(levels.filter(|level| level != "INFO").count(), 1, "{log}");
}

#[tokio::test]
async fn a_ca_without_its_key_or_of_another_form_grants_nothing() {
    let world = with_a_ca();
    world.adapters.objects.put(
        Ca::OBJECT,
        format!(
            r#"{{"url":"https://ca.example.com:9000","fingerprint":"{FINGERPRINT}","provisioner":{{"type":"X5C","name":"countersign"}}}}"#
        ),
    );
    let (body, pending) = world.request(&[certificate("a.web.example.com", &[])]);
    let answer = world.post(body).await;
    assert_denial(&answer, &pending, StatusCode::NOT_FOUND, Denial { code: DenialCode::NotFound, want: 0 });

    let world = with_a_ca();
    world.adapters.objects.put(Ca::OBJECT, r#"{"url":"https://ca.example.com"}"#);
    let answer = world.post(world.request(&[certificate("a.web.example.com", &[])]).0).await;
    fixture::assert_unavailable(&world, &answer, "release");
    assert_eq!(world.post(world.request(&[secret("app/db")]).0).await.status, StatusCode::OK, "others are served");
}

#[tokio::test]
async fn no_two_wants_are_alike_and_each_token_is_another() {
    let world = with_a_ca();
    let want = certificate("a.web.example.com", &["10.0.0.7"]);
    let (body, _) = world.request(&[want.clone(), want.clone()]);
    assert_eq!(world.post(body).await.status, StatusCode::UNAUTHORIZED);
    assert!(world.adapters.ledger.rows().is_empty());

    let (body, pending) = world.request(&[want, certificate("b.web.example.com", &[])]);
    let opened = pending.open(&world.post(body).await.body).unwrap();
    let [Grant::EnrollmentToken(first), Grant::EnrollmentToken(second)] = &opened.granted[..] else {
        panic!("two tokens")
    };
    let [first, second] = [first, second].map(claims);
    assert_eq!((&first["sub"], &second["sub"]), (&"a.web.example.com".into(), &"b.web.example.com".into()));
    assert_ne!(first["jti"], second["jti"]);
    assert_eq!(world.adapters.ledger.rows().len(), 3);
}

#[tokio::test]
async fn a_replay_gets_no_second_token() {
    let world = with_a_ca();
    let (body, _) = world.request(&[certificate("a.web.example.com", &[])]);
    assert_eq!(world.post(body.clone()).await.status, StatusCode::OK);
    assert_eq!(world.post(body).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(world.adapters.ledger.rows().len(), 2);
}

#[tokio::test]
async fn without_a_ledger_no_token_is_signed() {
    let world = with_a_ca();
    world.adapters.ledger.switch.set(Failing::Unavailable);
    let answer = world.post(world.request(&[certificate("a.web.example.com", &[])]).0).await;
    fixture::assert_unavailable(&world, &answer, "ledger");
}

#[tokio::test]
async fn a_new_ca_is_known_within_a_minute() {
    let world = without_a_ca();
    let (body, _) = world.request(&[certificate("a.web.example.com", &[])]);
    assert_eq!(world.post(body).await.status, StatusCode::NOT_FOUND);
    let other = with_a_ca();
    world.adapters.objects.put(Ca::OBJECT, other.adapters.objects.peek(Ca::OBJECT).unwrap());
    world.adapters.secrets.put("countersign/step-ca/jwk", SecretValue::Text(JwkKey::generate().unwrap().to_json()));
    world.adapters.clock.advance(Duration::from_secs(59));
    let (body, pending) = world.request(&[certificate("a.web.example.com", &[])]);
    granted(&world.post(body).await, &pending);
}
