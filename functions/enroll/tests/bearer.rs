//! Access tokens in place of codes.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod world;

use axum::{
    body::Body,
    http::{Method, Request, StatusCode, header},
};
use serde_json::{Value, json};
use test_support::{Answered, MALFORMED, REFUSED};
use world::{ADDRESS, NOW, Settings, World, granted};

async fn enrol(world: &World, token: &str, body: &Value) -> Answered {
    world.post_from(ADDRESS, "/v2/enroll/token", body, Some(token)).await
}

fn alone(subject: &str) -> Value {
    json!({ "subject": subject })
}

#[tokio::test]
async fn a_bearer_enrols_whom_policy_allows_without_a_code() {
    let world = World::new();
    let token = world.access_token("enroll", "192.0.2.0/24");
    let body = json!({ "subject": "pump-7", "sans": ["pump-7.example.com", "192.0.2.99"] });
    let claims = granted(&enrol(&world, &token, &body).await);
    assert_eq!((&claims["sub"], &claims["sans"]), (&json!("pump-7"), &json!(["pump-7.example.com", "192.0.2.99"])));
    let expected = json!({
        "action": "enroll:token", "outcome": "granted", "request_id": "request-1", "source_ip": "192.0.2.7", "wire": "v2",
        "subject": "pump-7", "bearer": "group:web", "session": "c2Vzc2lvbg", "policies": "enroll.cedar#2",
        "wants": "pump-7.example.com 192.0.2.99", "jti": claims["jti"],
    });
    assert_eq!(world.log.event(), expected);
    assert_eq!(world.issued()[0]["holder"], "group:web");
    // It is good for more than one.
    assert_eq!(enrol(&world, &token, &alone("pump-8")).await.status, StatusCode::OK);
    assert_eq!(world.ledger.done(), ["spend ott", "spend ott"], "neither codes nor sources are counted");
}

#[tokio::test]
async fn a_bearer_whom_policy_does_not_allow_is_denied() {
    let world = World::new();
    let sub = |subject: &str| {
        world.access_token_with(|claims| {
            subject.clone_into(&mut claims.subject);
            claims.scope = "enroll".parse().unwrap();
        })
    };
    for (name, token, subject) in [
        ("without_the_scope", world.access_token("revoke", "192.0.2.0/24"), "pump-7"),
        ("with_another_scope", world.access_token("enrolls", "192.0.2.0/24"), "pump-7"),
        ("without_any", world.access_token("", "192.0.2.0/24"), "pump-7"),
        ("another_bearer", sub("group:batch"), "pump-7"),
        // The policy for subjects who have a code speaks of `principal == resource`.
        ("a_bearer_of_a_subjects_name", sub("alice"), "alice"),
    ] {
        let answer = enrol(&world, &token, &alone(subject)).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{name}");
        assert_eq!(world.log.audited(), ["enroll:token", "denied", "policy"], "{name}");
        assert!(world.log.event()["bearer"].is_string(), "{name}");
    }
    assert!(world.issued().is_empty());
}

#[tokio::test]
async fn an_access_token_that_is_not_valid_here_is_refused_as_a_wrong_code_is() {
    let world = World::new();
    let good = world.access_token("enroll", "192.0.2.0/24");
    let elsewhere = World::new().access_token("enroll", "192.0.2.0/24");
    for (name, token, reason) in [
        ("no_jws", "garbage".to_owned(), "malformed"),
        ("of_another_issuer", elsewhere, "unknown_key"),
        ("altered", format!("{}AAAA", &good[..good.len() - 4]), "wrong_signature"),
        ("expired", world.access_token_with(|claims| claims.expires_at = NOW), "expired"),
        ("from_the_future", world.access_token_with(|claims| claims.issued_at = NOW + 60), "not_yet_valid"),
        ("of_another_network", world.access_token("enroll", "198.51.100.0/24"), "wrong_network"),
    ] {
        let answer = enrol(&world, &token, &alone("pump-7")).await;
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::UNAUTHORIZED, REFUSED), "{name}");
        assert_eq!(world.log.audited(), ["enroll:token", "refused", reason], "{name}");
        assert!(world.log.event().get("bearer").is_none(), "{name}");
        assert!(!world.log.text().contains(&token), "{name}");
    }
    assert_eq!(world.ledger.done(), [""; 0], "the ledger is not asked");
}

async fn with_headers(world: &World, authorization: &[&str], body: &Value) -> Answered {
    let request = Request::builder().method(Method::POST).uri("/v2/enroll/token");
    let request = request.header(header::CONTENT_TYPE, "application/json");
    let request = authorization.iter().fold(request, |request, value| request.header(header::AUTHORIZATION, *value));
    world.send(request.body(Body::from(body.to_string())).unwrap(), ADDRESS).await
}

#[tokio::test]
async fn one_header_of_one_form_is_a_proof() {
    let world = World::new();
    let bearer = format!("Bearer {}", world.access_token("enroll", "192.0.2.0/24"));
    assert_eq!(with_headers(&world, &[&bearer], &alone("pump-7")).await.status, StatusCode::OK);
    for (name, headers, reason) in [
        ("none", vec![], "no_proof"),
        ("two", vec![bearer.as_str(), bearer.as_str()], "malformed"),
        ("another_scheme", vec!["Basic YWxpY2U6"], "malformed"),
        ("no_token", vec!["Bearer "], "malformed"),
        ("several_words", vec!["Bearer a b"], "malformed"),
    ] {
        let answer = with_headers(&world, &headers, &alone("pump-7")).await;
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::UNAUTHORIZED, REFUSED), "{name}");
        assert_eq!(world.log.audited(), ["enroll:token", "refused", reason], "{name}");
    }
}

#[tokio::test]
async fn a_code_and_a_token_together_are_malformed_and_spend_nothing() {
    let world = World::new();
    let code = world.code("alice", "sms").await;
    world.ledger.done();
    for token in [&world.access_token("enroll", "192.0.2.0/24"), "garbage"] {
        let answer = enrol(&world, token, &json!({ "subject": "alice", "code": code })).await;
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::BAD_REQUEST, MALFORMED));
        assert_eq!(world.log.audited(), ["enroll:token", "refused", "two_proofs"]);
    }
    assert_eq!(world.ledger.done(), [""; 0]);
    assert_eq!(world.token("alice", &code).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_rack_behind_one_address_is_enrolled_by_access_tokens() {
    let world = World::with(Settings { rate: 1, ..Settings::default() });
    let token = world.access_token("enroll", "192.0.2.0/24");
    for number in 0..20 {
        let answer = enrol(&world, &token, &alone(&format!("pump-{number}"))).await;
        assert_eq!(answer.status, StatusCode::OK, "{number}");
    }
}
