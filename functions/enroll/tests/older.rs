//! The older service's routes: another form of answer, and the same checks.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod world;

use axum::{
    body::Body,
    http::{Method, Request, StatusCode, header},
};
use serde_json::{Value, json};
use test_support::Answered;
use world::{ADDRESS, Settings, World, claims, minutes, other_than};

const MALFORMED: &str = "Error, the request is not one that this route takes";
const REFUSED: &str = "Error, the request was refused";
const DENIED: &str = "Error, policy does not allow this";
const TOO_MANY: &str = "Error, too many requests";
const UNAVAILABLE: &str = "Error, the broker cannot answer now";
const NO_PROOF: &str = "Error, a code or a bearer token is needed";

async fn registration(world: &World, number: Value) -> String {
    let answer = world.post("/registration", &json!({ "number": number })).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    answer.body
}

fn msg(answer: &Answered) -> String {
    assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, Some("application/json")));
    let body = answer.json();
    assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
    body["msg"].as_str().unwrap().to_owned()
}

async fn send_token(world: &World, number: &str, token: &str) -> String {
    msg(&world.post("/send_token", &json!({ "number": number, "token": token })).await)
}

#[tokio::test]
async fn a_client_of_the_older_service_gets_its_token() {
    let world = World::new();
    assert_eq!(registration(&world, json!("391234567890")).await, "1111");
    let event = world.log.event();
    assert_eq!(
        (&event["wire"], &event["channel"], &event["subject"]),
        (&json!("v1"), &json!("sms"), &json!("391234567890"))
    );
    let code = world.last_code("sms");
    let token = send_token(&world, "391234567890", &code).await;
    assert_eq!(claims(&token)["sub"], "391234567890");
    assert_eq!(world.log.event()["wire"], "v1");
    assert_eq!(send_token(&world, "391234567890", &code).await, REFUSED, "once");
}

#[tokio::test]
async fn the_first_channel_that_has_an_address_is_taken() {
    for (subject, channel) in [("alice", "sms"), ("bob", "mail"), ("eve", "webhook")] {
        let world = World::new();
        assert_eq!(registration(&world, json!(subject)).await, "1111");
        assert_eq!((world.sent(), &world.log.event()["channel"]), (1, &json!(channel)), "{subject}");
        let token = send_token(&world, subject, &world.last_code(channel)).await;
        assert_eq!(claims(&token)["sub"], subject);
        assert_eq!(world.log.event()["channel"], channel);
    }
    let world = World::with(Settings { has_mail: false, has_webhook: false, ..Settings::default() });
    for subject in ["bob", "eve"] {
        assert_eq!(registration(&world, json!(subject)).await, "1111");
        assert_eq!(world.log.audited(), ["enroll:challenge", "refused", "no_address"]);
    }
}

#[tokio::test]
async fn numbers_may_be_numbers() {
    let world = World::new();
    // One of ten codes begins with a zero, which a number does not have.
    let code = loop {
        assert_eq!(registration(&world, json!(391_234_567_890_u64)).await, "1111");
        let code = world.last_code("sms");
        if code.starts_with('0') {
            break code;
        }
        world.clock.advance(minutes(5));
    };
    let body = format!(r#"{{"number": 391234567890, "token": {}}}"#, code.trim_start_matches('0'));
    let request = Request::builder().method(Method::POST).uri("/send_token");
    let answer = world.send(request.body(Body::from(body)).unwrap(), ADDRESS).await;
    assert_eq!(claims(&msg(&answer))["sub"], "391234567890");
}

#[tokio::test]
async fn no_page_in_a_browser_asks_in_the_name_of_who_looks_at_it() {
    let world = World::new();
    for (origin, expected) in [(Some("https://evil.example.com"), MALFORMED), (Some("null"), MALFORMED), (None, "1111")]
    {
        let mut request = Request::builder().method(Method::POST).uri("/registration");
        request = request.header(header::CONTENT_TYPE, "text/plain");
        if let Some(origin) = origin {
            request = request.header(header::ORIGIN, origin);
        }
        let answer = world.send(request.body(Body::from(r#"{"number": "alice"}"#)).unwrap(), ADDRESS).await;
        assert_eq!(answer.body, expected, "{origin:?}");
    }
    assert_eq!(world.sent(), 1);
}

#[tokio::test]
async fn nobody_learns_who_exists() {
    let world = World::new();
    let known = world.post("/registration", &json!({ "number": "alice" })).await;
    let work = world.ledger.done();
    let unknown = world.post("/registration", &json!({ "number": "mallory" })).await;
    assert_eq!(unknown.told(), known.told());
    assert_eq!(world.ledger.done(), work);
    assert_eq!(world.log.audited(), ["enroll:challenge", "refused", "unknown_subject"]);
    assert_eq!(world.sent(), 1);
    for number in ["alice", "mallory"] {
        assert_eq!(registration(&world, json!(number)).await, TOO_MANY, "{number}");
        assert_eq!(send_token(&world, number, &other_than(&world.last_code("sms"))).await, REFUSED, "{number}");
    }
}

#[tokio::test]
async fn a_code_is_one_whichever_route_asked_for_it() {
    let world = World::new();
    let code = world.code("alice", "mail").await;
    assert_eq!(registration(&world, json!("alice")).await, TOO_MANY);
    assert_eq!(claims(&send_token(&world, "alice", &code).await)["sub"], "alice");
}

#[tokio::test]
async fn what_is_wrong_is_one_of_few_texts() {
    let world = World::with(Settings { rate: 2, ..Settings::default() });
    assert_eq!(registration(&world, json!("group:web")).await, MALFORMED);
    assert_eq!(registration(&world, json!(-7)).await, MALFORMED);
    assert_eq!(registration(&world, json!(1.5)).await, MALFORMED);
    assert_eq!(registration(&world, json!(null)).await, MALFORMED);
    assert_eq!(world.post("/registration", &json!({ "number": "1", "sans": [] })).await.body, MALFORMED);
    assert_eq!(world.post("/registration", &json!([])).await.body, MALFORMED);
    assert_eq!(send_token(&world, "alice", "1234").await, MALFORMED);
    assert_eq!(msg(&world.post("/send_token", &json!({ "number": "alice" })).await), NO_PROOF);
    assert_eq!(send_token(&world, "alice", "00000000").await, REFUSED);
    send_token(&world, "alice", "00000000").await;
    assert_eq!(send_token(&world, "alice", "00000000").await, TOO_MANY);
    world.clock.advance(minutes(5));
    world.objects.remove("step-ca/ca.json");
    assert_eq!(send_token(&world, "alice", "00000000").await, UNAVAILABLE);
    let token = World::new().access_token("enroll", "192.0.2.0/24");
    let body = json!({ "number": "pump-7", "token": "12345678" });
    assert_eq!(msg(&world.post_from(ADDRESS, "/send_token", &body, Some(&token)).await), MALFORMED, "two proofs");
}

#[tokio::test]
async fn a_bearer_needs_no_code_here_either() {
    let world = World::new();
    let bearer = async |path: &str, number: Value, scope: &str| {
        let token = world.access_token(scope, "192.0.2.0/24");
        msg(&world.post_from(ADDRESS, path, &json!({ "number": number }), Some(&token)).await)
    };
    assert_eq!(claims(&bearer("/send_token", json!("pump-7"), "enroll").await)["sub"], "pump-7");
    assert_eq!(bearer("/send_token", json!("pump-7"), "revoke").await, DENIED);
    assert_eq!(claims(&bearer("/revoke_token", json!("7"), "revoke").await)["sub"], "7");
    assert_eq!(bearer("/revoke_token", json!(7), "enroll").await, DENIED);
    assert_eq!(bearer("/revoke_token", json!("07"), "revoke").await, MALFORMED);
}

#[tokio::test]
async fn a_serial_number_keeps_every_digit_where_it_is_a_number() {
    let world = World::new();
    let serial = "1461501637330902918203684832716283019655932542975";
    let token = world.access_token("revoke", "192.0.2.0/24");
    let request = Request::builder().method(Method::POST).uri("/revoke_token");
    let request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    let answer = world.send(request.body(Body::from(format!(r#"{{"number": {serial}}}"#))).unwrap(), ADDRESS).await;
    assert_eq!(claims(&msg(&answer))["sub"], serial);
}

#[tokio::test]
async fn a_revocation_needs_a_proof_which_it_did_not_once() {
    let world = World::new();
    let leaf = world.step_ca.leaf("alice");
    let serial = leaf.certificate.serial_decimal();
    let asked = world.post("/revoke_token", &json!({ "number": serial })).await;
    assert_eq!(msg(&asked), NO_PROOF);
    assert_eq!(world.log.audited(), ["enroll:revocation", "refused", "no_proof"]);
    assert_eq!(world.log.event()["serial"], serial);
    registration(&world, json!("alice")).await;
    let code = world.last_code("sms");
    let body = |code: &str, certificate: Option<String>| json!({ "number": serial, "subject": "alice", "token": code, "certificate": certificate });
    assert_eq!(msg(&world.post("/revoke_token", &body(&code, None)).await), MALFORMED);
    let shown = || Some(world.step_ca.shown(&leaf));
    assert_eq!(msg(&world.post("/revoke_token", &body(&other_than(&code), shown())).await), REFUSED);
    assert_eq!(claims(&msg(&world.post("/revoke_token", &body(&code, shown())).await))["sub"], json!(serial));
}

#[tokio::test]
async fn bodies_are_read_whatever_they_are_called() {
    let world = World::new();
    for (number, content_type) in [("a", ""), ("b", "text/plain"), ("c", "application/x-www-form-urlencoded")] {
        let request = Request::builder().method(Method::POST).uri("/registration");
        let request = request.header(header::CONTENT_TYPE, content_type);
        let body = Body::from(json!({ "number": number }).to_string());
        assert_eq!(world.send(request.body(body).unwrap(), ADDRESS).await.body, "1111", "{content_type}");
    }
}
