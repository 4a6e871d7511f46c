//! Tokens over memory ports: time, failure and policy at a test's choice. The deployed stack has the refusals of the wire.
#![allow(clippy::unwrap_used, clippy::panic)]

mod fixture;

use std::time::Duration;

use access_token::{Claims, SigningKey, pkce::CodeVerifier};
use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use fixture::{KEY_SECRET, World};
use issuer::{PUBLISHED_BEFORE_SIGNING, PublishedKeys};
use ports::memory::{Failing, FaultSwitch};
use protocol::{SecretValue, SystemRandom};
use test_support::{MALFORMED, REFUSED};
use web::Bearer;

const fn refused(reason: &str) -> [&str; 3] {
    ["token", "refused", reason]
}

#[tokio::test]
async fn a_signed_nonce_is_redeemed_once() {
    let world = World::new();
    let attempt = world.attempt("state").await;
    let answer = world.redeem(&attempt.body).await;
    assert_eq!((answer.status, &answer.headers["cache-control"]), (StatusCode::OK, &"no-store".parse().unwrap()));
    assert_eq!(world.verify(&[&format!("Bearer {}", answer.body)]).await.status, StatusCode::OK);
    let again = world.redeem(&attempt.body).await;
    assert_eq!((again.status, again.body.as_str()), (StatusCode::BAD_REQUEST, MALFORMED));
    assert_eq!(world.log.audited(), refused("unknown_state"));
    let rows = world.ledger.rows();
    assert_eq!(rows.len(), 1, "the token's; the nonce's is gone");
    let everything = format!("{rows:?}{}", world.log.text());
    for secret in [&answer.body, &attempt.nonce, &attempt.verifier, attempt.body["code"].as_str().unwrap()] {
        assert!(!everything.contains(secret));
    }
}

#[tokio::test]
async fn a_nonce_is_good_for_two_minutes() {
    for (seconds, status) in [(119, StatusCode::OK), (120, StatusCode::BAD_REQUEST)] {
        let world = World::new();
        let attempt = world.attempt("state").await;
        world.clock.advance(Duration::from_secs(seconds));
        assert_eq!(world.redeem(&attempt.body).await.status, status, "{seconds}");
    }
}

#[tokio::test]
async fn a_well_formed_attempt_spends_its_state_whatever_comes_of_it() {
    for (member, value, reason) in [
        ("client_id", "U0hBMjU2Og", "wrong_client"),
        ("code_verifier", "0123456789012345678901234567890123456789012", "wrong_verifier"),
        ("code", "AAAA", "malformed_signature"),
    ] {
        let world = World::new();
        let attempt = world.attempt("state").await;
        let mut broken = attempt.body.clone();
        broken[member] = value.into();
        world.redeem(&broken).await;
        assert_eq!(world.log.audited(), refused(reason));
        assert!(world.ledger.rows().is_empty());
        assert_eq!(world.redeem(&attempt.body).await.body, MALFORMED);
    }
}

#[tokio::test]
async fn what_is_no_attempt_spends_nothing() {
    let world = World::new();
    let attempt = world.attempt("state").await;
    let text = attempt.body.to_string();
    let listed = serde_json::to_string(&attempt.body.as_object().unwrap().values().collect::<Vec<_>>()).unwrap();
    for (name, content_type, body) in [
        ("another_type", "text/plain", text.clone()),
        ("a_form", "application/x-www-form-urlencoded", text.clone()),
        ("a_list", "application/json", listed),
        ("twice", "application/json", text.replacen('{', r#"{"state":"state","#, 1)),
        ("a_number", "application/json", text.replacen(r#""state":"state""#, r#""state":1"#, 1)),
        ("empty", "application/json", String::new()),
        ("too_large", "application/json", " ".repeat(20_000) + &text),
    ] {
        let answer = world.post(content_type, body).await;
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::BAD_REQUEST, MALFORMED), "{name}");
        assert_eq!(world.log.audited(), refused("malformed"), "{name}");
    }
    assert_eq!(world.post("Application/JSON; charset=utf-8", text).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_key_that_is_taken_away_is_unknown_within_a_minute() {
    let world = World::new();
    let attempt = world.attempt("state").await;
    world.redeem(&attempt.body).await;
    world.objects.put("ssh-keys/ops.pub", "");
    world.clock.advance(Duration::from_secs(61));
    let attempt = world.attempt("state").await;
    let answer = world.redeem(&attempt.body).await;
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::UNAUTHORIZED, REFUSED));
    assert_eq!(world.log.audited(), refused("unknown_key"));
}

#[tokio::test]
async fn policy_says_what_a_key_gets() {
    for (policy, outcome) in [
        ("", Err("policy")),
        (r#"@ttl("30d") permit (principal, action, resource);"#, Ok((86_400, "192.0.2.7/32", ""))),
        (
            r#"@ttl("10m") @network("10.0.0.0/8") permit (principal, action, resource);
               @ttl("5m") @network("10.1.0.0/16") @scope("b a") permit (principal is SshKey, action, resource);"#,
            Ok((300, "10.1.0.0/16", "a b")),
        ),
        (
            r#"@network("10.0.0.0/8") permit (principal, action, resource);
               @network("11.0.0.0/8") permit (principal is SshKey, action, resource);"#,
            Err("contradiction"),
        ),
    ] {
        let world = World::new();
        world.objects.put("policies/ops.cedar", policy);
        let attempt = world.attempt("state").await;
        let answer = world.redeem(&attempt.body).await;
        match outcome {
            Err(reason) => {
                assert_eq!(answer.status, StatusCode::FORBIDDEN, "{policy}");
                assert_eq!(world.log.audited(), ["token", "denied", reason]);
                assert!(world.ledger.rows().is_empty());
            }
            Ok((seconds, network, scope)) => {
                let network: access_token::Network = network.parse().unwrap();
                let inside = if network.contains([192, 0, 2, 7].into()) { [192, 0, 2, 7] } else { [10, 1, 0, 9] };
                let keys = world.keys();
                let token = access_token::verify(&answer.body, inside.into(), &keys, fixture::NOW).unwrap();
                let claims = token.claims();
                assert_eq!(claims.expires_at - claims.issued_at, seconds);
                assert_eq!((claims.network, claims.scope.to_string().as_str()), (network, scope));
            }
        }
    }
}

#[tokio::test]
async fn what_fails_on_the_way_is_a_503_that_tells_nothing_and_the_log_names_the_step() {
    type Choose = fn(&World) -> &FaultSwitch;
    let objects: Choose = |world| &world.objects.switch;
    let secrets: Choose = |world| &world.secrets.switch;
    let ledger: Choose = |world| &world.ledger.switch;
    let slow = Failing::Slow(Duration::from_secs(60));
    for (name, choose, failing, step) in [
        ("registry", objects, Failing::Unavailable, "registry"),
        ("ledger", ledger, Failing::Throttled, "ledger"),
        ("deadline", ledger, slow, "deadline"),
    ] {
        let world = World::new();
        let attempt = world.attempt("state").await;
        choose(&world).set(failing);
        let answer = world.redeem(&attempt.body).await;
        assert_eq!(
            (answer.status, &answer.headers["retry-after"]),
            (StatusCode::SERVICE_UNAVAILABLE, &"1".parse().unwrap())
        );
        assert_eq!(world.log.audited(), ["token", "failed", step], "{name}");
        choose(&world).set(Failing::No);
    }
    for (choose, step) in [(objects, "keys"), (secrets, "keys"), (ledger, "ledger")] {
        let world = World::new();
        choose(&world).set(Failing::Unavailable);
        let answer = world.begin("state", &CodeVerifier::generate(&SystemRandom)).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(world.log.audited(), ["nonce", "failed", step]);
    }
}

#[tokio::test]
async fn a_rotation_between_nonce_and_signature_changes_nothing() {
    let world = World::new();
    let attempt = world.attempt("state").await;
    let old = PublishedKeys::from_json(&world.objects.peek(PublishedKeys::OBJECT).unwrap()).unwrap();
    let pem = SigningKey::generate();
    let new = SigningKey::from_pem(pem.expose()).unwrap().public().clone();
    world.secrets.put(KEY_SECRET, SecretValue::Text(pem));
    world.objects.put(PublishedKeys::OBJECT, old.next(new.clone(), fixture::NOW, 86_400).to_json());
    world.clock.advance(Duration::from_secs(61));
    let answer = world.redeem(&attempt.body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", world.log.text());
    let kid_of = |token: &str| {
        let [header, ..] = protocol::compact::split::<3>(token).unwrap();
        protocol::compact::object::<serde_json::Value>(header).unwrap()["kid"].as_str().unwrap().to_owned()
    };
    assert_ne!(kid_of(&answer.body), new.kid().as_str());
    world.clock.advance(Duration::from_secs(PUBLISHED_BEFORE_SIGNING));
    let attempt = world.attempt("later").await;
    let answer = world.redeem(&attempt.body).await;
    assert_eq!(kid_of(&answer.body), new.kid().as_str());
}

#[tokio::test]
async fn a_nonce_of_a_key_that_was_ended_is_refused() {
    let world = World::new();
    let attempt = world.attempt("state").await;
    let pem = SigningKey::generate();
    let new = SigningKey::from_pem(pem.expose()).unwrap().public().clone();
    world.secrets.put(KEY_SECRET, SecretValue::Text(pem));
    world.objects.put(PublishedKeys::OBJECT, PublishedKeys::first(new).to_json());
    world.clock.advance(Duration::from_secs(61));
    assert_eq!(world.redeem(&attempt.body).await.body, REFUSED);
    assert_eq!(world.log.audited(), refused("ended_key"));
}

#[tokio::test]
async fn an_address_gets_so_many_nonces_a_minute() {
    let world = World::with(2);
    let begin = async || world.begin(&Claims::new_session(&SystemRandom), &CodeVerifier::generate(&SystemRandom)).await;
    assert_eq!([begin().await.status, begin().await.status], [StatusCode::OK; 2]);
    let limited = begin().await;
    assert_eq!(limited.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(limited.headers["retry-after"], "60");
    assert_eq!(world.log.audited(), ["nonce", "refused", "rate"]);
    assert_eq!(world.ledger.rows().len(), 2, "it costs no write");
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(begin().await.status, StatusCode::OK);
}

#[tokio::test]
async fn tokens_of_an_unknown_key_make_the_keys_load_once_a_second() {
    let world = World::new();
    let stranger = SigningKey::from_pem(SigningKey::generate().expose()).unwrap();
    let attempt = world.attempt("state").await;
    let own = world.redeem(&attempt.body).await.body;
    let keys = world.keys();
    let token = access_token::verify(&own, [192, 0, 2, 7].into(), &keys, fixture::NOW).unwrap();
    let foreign = format!("Bearer {}", token.claims().sign(&stranger).expose());
    world.verify(&[&foreign]).await;
    let reads = world.objects.reads();
    for _ in 0..5 {
        assert_eq!(world.verify(&[&foreign]).await.body, REFUSED);
    }
    assert_eq!(world.objects.reads(), reads);
    world.clock.advance(Duration::from_secs(1));
    world.verify(&[&foreign]).await;
    assert_eq!(world.objects.reads(), reads + 1);
}

#[tokio::test]
async fn a_token_is_asked_for_in_one_header_of_one_form() {
    let world = World::new();
    let attempt = world.attempt("state").await;
    let token = world.redeem(&attempt.body).await.body;
    let good = format!("Bearer {token}");
    assert_eq!(world.verify(&[&good]).await.status, StatusCode::OK);
    let none = world.verify(&[]).await;
    assert_eq!(
        (none.status, &none.headers["www-authenticate"]),
        (StatusCode::UNAUTHORIZED, &"Bearer".parse().unwrap())
    );
    for bad in [&[&*good, &*good][..], &["Basic YTpi"], &[&token], &["Bearer"]] {
        let answer = world.verify(bad).await;
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::UNAUTHORIZED, REFUSED), "{bad:?}");
        assert_eq!(answer.headers["www-authenticate"], r#"Bearer error="invalid_token""#);
    }
    world.objects.switch.set(Failing::Unavailable);
    world.clock.advance(Duration::from_secs(601));
    assert_eq!(world.verify(&[&good]).await.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn who_am_i_is_for_those_whom_the_authorizer_let_in() {
    let world = World::new();
    assert_eq!(world.get("/v2/whoami").await.status, StatusCode::UNAUTHORIZED);
    let mut request = Request::builder().uri("/v2/whoami").body(Body::empty()).unwrap();
    let bearer = Bearer { subject: "group:web".into(), scope: "a".into(), session: "s".into() };
    request.extensions_mut().insert(bearer);
    let answer = world.send(request).await;
    assert_eq!(answer.body, r#"{"sub":"group:web","scope":"a","ses":"s"}"#);
}
