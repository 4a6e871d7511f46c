//! The steps of a token one by one: what each that fails ends with, and what is left of one that holds.
#![allow(clippy::unwrap_used, clippy::panic)]

mod fixture;

use std::{collections::BTreeSet, time::Duration};

use access_token::pkce::CodeVerifier;
use axum::http::StatusCode;
use fixture::{Attempt, ClientKey, KEY_SECRET, NOW, World};
use issuer::{PUBLISHED_BEFORE_SIGNING, PublishedKeys};
use ports::memory::{Failing, FaultSwitch};
use protocol::{Secret, SecretValue, SystemRandom};
use serde_json::{Value, json};
use test_support::{Answered, REFUSED};

const SLOW: Failing = Failing::Slow(Duration::from_secs(60));

/// 503 with Retry-After and a body that tells nothing, and an event that names the step.
fn assert_failed(world: &World, answer: &Answered, name: &str, step: &str) {
    assert_eq!(
        (answer.status, answer.headers["retry-after"].to_str().unwrap()),
        (StatusCode::SERVICE_UNAVAILABLE, "1")
    );
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(
        body,
        json!({
            "type": "urn:countersign:problem:unavailable",
            "title": "the broker cannot answer now",
            "status": 503,
            "request_id": "request-1",
        })
    );
    let event = world.log.event();
    let named = ["action", "outcome", "reason"].map(|member| event[member].as_str().unwrap());
    assert_eq!(named, ["token", "failed", step], "{name}");
}

fn tokens(world: &World) -> usize {
    world.ledger.rows().iter().filter(|row| row.key.starts_with("token#")).count()
}

#[tokio::test]
async fn each_step_that_a_cold_instance_cannot_take_is_a_503_and_named_in_the_log() {
    type Break = fn(&World);
    let broken: [(&str, Break, &str); 8] = [
        ("known_keys_damaged", |world| world.objects.put("ssh-keys/ops.pub", "garbage"), "registry"),
        ("objects_unavailable", |world| world.objects.switch.set(Failing::Unavailable), "registry"),
        ("objects_forbidden", |world| world.objects.switch.set(Failing::Forbidden), "registry"),
        ("keys_damaged", |world| world.objects.put(PublishedKeys::OBJECT, "{}"), "keys"),
        ("keys_missing", |world| world.objects.remove(PublishedKeys::OBJECT), "keys"),
        ("policies_damaged", |world| world.objects.put("policies/ops.cedar", "garbage"), "policies"),
        ("secrets_unavailable", |world| world.secrets.switch.set(Failing::Unavailable), "issue"),
        (
            "private_key_damaged",
            |world| drop(world.secrets.put(KEY_SECRET, SecretValue::Text(Secret::new("garbage".into())))),
            "issue",
        ),
    ];
    for (name, damage, step) in broken {
        let mut world = World::new();
        let Attempt { body, .. } = world.attempt("state").await;
        damage(&world);
        world.start();
        assert_failed(&world, &world.redeem(&body).await, name, step);
        assert_eq!(tokens(&world), 0, "{name}");
    }
}

#[tokio::test]
async fn a_ledger_that_fails_lets_no_token_out() {
    type Choose = fn(&World) -> &FaultSwitch;
    let take: Choose = |world| &world.ledger.switch;
    let spend: Choose = |world| &world.spending;
    for (name, choose, failing, step, state_is_left) in [
        ("take_unavailable", take, Failing::Unavailable, "ledger", true),
        ("take_throttled", take, Failing::Throttled, "ledger", true),
        ("take_slow", take, SLOW, "deadline", true),
        ("record_unavailable", spend, Failing::Unavailable, "issue", false),
        ("record_throttled", spend, Failing::Throttled, "issue", false),
        ("record_slow", spend, SLOW, "deadline", false),
    ] {
        let world = World::new();
        let Attempt { body, .. } = world.attempt("state").await;
        choose(&world).set(failing);
        assert_failed(&world, &world.redeem(&body).await, name, step);
        choose(&world).set(Failing::No);
        assert_eq!(tokens(&world), 0, "{name}");
        let again = world.redeem(&body).await.status;
        assert_eq!(again, if state_is_left { StatusCode::OK } else { StatusCode::BAD_REQUEST }, "{name}");
    }
}

#[tokio::test]
async fn whatever_is_slow_ends_at_the_deadline() {
    type Choose = fn(&World) -> &FaultSwitch;
    let ports: [(&str, Choose); 2] =
        [("objects", |world| &world.objects.switch), ("secrets", |world| &world.secrets.switch)];
    for (name, choose) in ports {
        let mut world = World::new();
        let Attempt { body, .. } = world.attempt("state").await;
        choose(&world).set(SLOW);
        world.start();
        assert_failed(&world, &world.redeem(&body).await, name, "deadline");
    }
}

#[tokio::test]
async fn what_was_loaded_outlasts_an_outage() {
    let world = World::new();
    assert_eq!(world.redeem(&world.attempt("before").await.body).await.status, StatusCode::OK);
    for port in [&world.objects.switch, &world.secrets.switch] {
        port.set(Failing::Unavailable);
    }
    world.clock.advance(Duration::from_mins(5));
    assert_eq!(world.redeem(&world.attempt("within").await.body).await.status, StatusCode::OK);
    world.clock.advance(Duration::from_mins(6));
    let begun = world.begin("after", &CodeVerifier::generate(&SystemRandom)).await;
    assert_eq!(begun.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_token_is_recorded_and_logged_as_it_was_given() {
    let world = World::new();
    let attempt = world.attempt("state").await;
    let answer = world.redeem(&attempt.body).await;
    let verified = access_token::verify(&answer.body, [192, 0, 2, 7].into(), &world.keys(), NOW).unwrap();
    let claims = verified.claims();
    let subject = String::from_utf8(access_token::decode_lenient(&world.key.client_id).unwrap()).unwrap();
    assert_eq!(claims.subject, subject);
    let rows = world.ledger.rows();
    let [row] = &rows[..] else { panic!("not one row: {rows:?}") };
    assert_eq!((&row.key, row.ttl), (&format!("token#{}", claims.session), Some(NOW + 3600 + 400 * 86_400)));
    let record: Vec<_> = row.record.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(
        record,
        [
            ("subject", &*subject),
            ("network", "192.0.2.7/32"),
            ("scope", "things:read"),
            ("expires_at", "1800003600"),
            ("kid", verified.kid().as_str()),
            ("policies", "ops.cedar#0"),
            ("request_id", "request-1"),
            ("issued_at", "1800000000"),
            ("source_ip", "192.0.2.7"),
        ]
    );
    assert_eq!(
        world.log.event(),
        json!({
            "action": "token",
            "outcome": "granted",
            "request_id": "request-1",
            "source_ip": "192.0.2.7",
            "subject": subject,
            "session": claims.session,
            "wire": "ssh",
            "policies": "ops.cedar#0",
            "detail": r#"network 192.0.2.7/32, scope "things:read""#,
        })
    );
}

#[tokio::test]
async fn a_pending_nonce_is_a_row_that_ends_and_does_not_tell_its_state() {
    let world = World::new();
    let attempt = world.attempt("a-state-that-can-be-searched-for").await;
    let rows = world.ledger.rows();
    let [row] = &rows[..] else { panic!("not one row: {rows:?}") };
    assert!(row.key.starts_with("nonce#") && row.key.len() == "nonce#".len() + 64);
    assert_eq!(row.ttl, Some(NOW + 120));
    let everything = format!("{rows:?}{}", world.log.text());
    assert!(!everything.contains("a-state-that") && !everything.contains(&attempt.verifier));
}

#[tokio::test]
async fn a_security_key_must_have_said_of_its_user_what_its_line_demands() {
    const ABSENT: Option<&str> = Some("user_not_present");
    const UNVERIFIED: Option<&str> = Some("user_not_verified");
    for (options, neither, present, verified, both) in [
        ("", ABSENT, None, ABSENT, None),
        ("no-touch-required ", None, None, None, None),
        ("verify-required ", ABSENT, UNVERIFIED, ABSENT, None),
        ("no-touch-required,verify-required ", UNVERIFIED, UNVERIFIED, None, None),
    ] {
        for (flags, reason) in [(0, neither), (1, present), (4, verified), (5, both)] {
            let world = World::of(ClientKey::hardware(flags), 60);
            world.objects.put("ssh-keys/ops.pub", format!("{options}{}", world.key.line));
            let answer = world.redeem(&world.attempt("state").await.body).await;
            let event = world.log.event();
            assert_eq!(event["reason"].as_str(), reason, "{options}{flags}");
            match reason {
                None => assert_eq!(answer.status, StatusCode::OK),
                Some(_) => assert_eq!((answer.status, &*answer.body), (StatusCode::UNAUTHORIZED, REFUSED)),
            }
        }
    }
}

#[tokio::test]
async fn verify_required_of_a_key_that_cannot_verify_anybody_is_never_met() {
    let world = World::new();
    world.objects.put("ssh-keys/ops.pub", format!("verify-required {}", world.key.line));
    assert_eq!(world.redeem(&world.attempt("state").await.body).await.body, REFUSED);
    assert_eq!(world.log.event()["reason"], "user_not_verified");
}

#[tokio::test]
async fn policy_sees_what_a_security_key_said() {
    let policy = r#"permit (principal is SshKey, action == Action::"token:issue", resource)
                    when { principal.hardware && context.user_present && context.user_verified };"#;
    for (key, status) in [
        (ClientKey::hardware(5), StatusCode::OK),
        (ClientKey::hardware(1), StatusCode::FORBIDDEN),
        (ClientKey::generate(), StatusCode::FORBIDDEN),
    ] {
        let world = World::of(key, 60);
        world.objects.put("policies/ops.cedar", policy);
        let answer = world.redeem(&world.attempt("state").await.body).await;
        assert_eq!(answer.status, status);
        if status == StatusCode::FORBIDDEN {
            let denied = json!({
                "type": "urn:countersign:problem:denied",
                "title": "policy does not allow this",
                "status": 403,
                "request_id": "request-1",
            });
            assert_eq!(serde_json::from_str::<Value>(&answer.body).unwrap(), denied);
        }
    }
}

#[tokio::test]
async fn the_keys_are_given_in_two_forms_and_the_ended_ones_are_not() {
    let world = World::new();
    let (set, list) = (world.get("/.well-known/jwks.json").await, world.get("/jwks").await);
    let [set_of, list_of] = [&set, &list].map(|answer| serde_json::from_str::<Value>(&answer.body).unwrap());
    assert_eq!(set_of["keys"], list_of);
    let members: BTreeSet<_> = list_of[0].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, BTreeSet::from(["alg", "crv", "kid", "kty", "use", "x", "y"]), "none of our own");
    for answer in [&set, &list] {
        assert_eq!(answer.headers["cache-control"], "public, max-age=300");
    }
    assert_ne!(set.headers["etag"], list.headers["etag"]);
    let published = PublishedKeys::from_json(&world.objects.peek(PublishedKeys::OBJECT).unwrap()).unwrap();
    let other = World::new().keys().keys()[0].clone();
    world.objects.put(PublishedKeys::OBJECT, published.next(other.clone(), NOW, 86_400).to_json());
    world.clock.advance(Duration::from_secs(60));
    let both = serde_json::from_str::<Value>(&world.get("/jwks").await.body).unwrap();
    assert_eq!((&both[0]["kid"], &both[1]), (&json!(other.kid().as_str()), &list_of[0]));
    world.clock.advance(ports::MAX_STALE + Duration::from_secs(86_400 + PUBLISHED_BEFORE_SIGNING));
    let left = serde_json::from_str::<Value>(&world.get("/jwks").await.body).unwrap();
    assert_eq!((left.as_array().unwrap().len(), &left[0]), (1, &both[0]));
}
