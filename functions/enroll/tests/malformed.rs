//! Bad bodies: what each is refused with, and that nothing was looked at.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod world;

use axum::{
    body::Body,
    http::{Method, Request, StatusCode, header},
};
use serde_json::{Value, json};
use test_support::MALFORMED;
use world::{ADDRESS, World};

const CHALLENGE: &str = "/v2/enroll/challenge";
const TOKEN: &str = "/v2/enroll/token";
const REVOCATION: &str = "/v2/enroll/revocation";

fn with(path: &str, member: &str, value: Value) -> Value {
    let mut body = match path {
        CHALLENGE => json!({ "subject": "alice", "channel": "sms" }),
        TOKEN => json!({ "subject": "alice", "code": "12345678" }),
        _ => json!({ "serial": "7", "subject": "alice", "code": "12345678", "certificate": "a" }),
    };
    body[member] = value;
    body
}

#[tokio::test]
async fn bodies_of_another_form_are_refused() {
    let world = World::new();
    let long = "a".repeat(65);
    let many: Vec<String> = (0..33).map(|index| format!("host-{index}")).collect();
    for (name, path, body, reason) in [
        ("no_object", CHALLENGE, json!(["alice", "sms"]), "malformed"),
        ("no_members", CHALLENGE, json!({}), "malformed"),
        ("unknown_member", CHALLENGE, with(CHALLENGE, "phone", json!("+391234567890")), "malformed"),
        ("subject_of_another_type", CHALLENGE, with(CHALLENGE, "subject", json!(7)), "malformed"),
        ("subject_with_a_colon", CHALLENGE, with(CHALLENGE, "subject", json!("group:web")), "malformed"),
        ("subject_with_a_line", CHALLENGE, with(CHALLENGE, "subject", json!("a\nb")), "malformed"),
        ("subject_too_long", CHALLENGE, with(CHALLENGE, "subject", json!(long)), "malformed"),
        ("subject_empty", CHALLENGE, with(CHALLENGE, "subject", json!("")), "malformed"),
        ("unknown_channel", CHALLENGE, with(CHALLENGE, "channel", json!("fax")), "malformed"),
        ("channel_in_capitals", CHALLENGE, with(CHALLENGE, "channel", json!("SMS")), "malformed"),
        ("two_channels", CHALLENGE, with(CHALLENGE, "channel", json!(["sms", "mail"])), "malformed"),
        ("channel_null", CHALLENGE, with(CHALLENGE, "channel", Value::Null), "malformed"),
        ("unknown_member", TOKEN, with(TOKEN, "channel", json!("sms")), "malformed"),
        ("subject_null", TOKEN, with(TOKEN, "subject", Value::Null), "malformed"),
        ("code_of_another_type", TOKEN, with(TOKEN, "code", json!(12_345_678)), "malformed"),
        ("code_too_short", TOKEN, with(TOKEN, "code", json!("1234567")), "malformed_code"),
        ("code_too_long", TOKEN, with(TOKEN, "code", json!("123456789")), "malformed_code"),
        ("code_empty", TOKEN, with(TOKEN, "code", json!("")), "malformed_code"),
        ("code_with_letters", TOKEN, with(TOKEN, "code", json!("1234567a")), "malformed_code"),
        ("code_of_other_digits", TOKEN, with(TOKEN, "code", json!("\u{661}2345678")), "malformed_code"),
        ("names_of_another_type", TOKEN, with(TOKEN, "sans", json!("a.example.com")), "malformed"),
        ("name_of_another_form", TOKEN, with(TOKEN, "sans", json!(["a b"])), "malformed"),
        ("names_too_many", TOKEN, with(TOKEN, "sans", json!(many)), "malformed_names"),
        ("name_twice", TOKEN, with(TOKEN, "sans", json!(["web.example.com", "WEB.example.com"])), "malformed_names"),
        ("digest_of_another_form", TOKEN, with(TOKEN, "csr_sha256", json!("00")), "malformed"),
        ("unknown_member", REVOCATION, with(REVOCATION, "reason", json!(1)), "malformed"),
        ("serial_as_a_number", REVOCATION, with(REVOCATION, "serial", json!(7)), "malformed"),
        ("serial_in_hex", REVOCATION, with(REVOCATION, "serial", json!("0x7")), "malformed"),
        ("serial_with_zeros", REVOCATION, with(REVOCATION, "serial", json!("07")), "malformed"),
        ("serial_negative", REVOCATION, with(REVOCATION, "serial", json!("-7")), "malformed"),
        ("serial_too_large", REVOCATION, with(REVOCATION, "serial", json!("9".repeat(49))), "malformed"),
        ("certificate_of_another_type", REVOCATION, with(REVOCATION, "certificate", json!([])), "malformed"),
    ] {
        let answer = world.post(path, &body).await;
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::BAD_REQUEST, MALFORMED), "{path} {name}");
        let action = path.replace("/v2/enroll/", "enroll:");
        assert_eq!(world.log.audited(), [action.as_str(), "refused", reason], "{path} {name}");
    }
    assert_eq!(world.ledger.done(), [""; 0]);
}

#[tokio::test]
async fn what_cannot_be_read_as_a_body_is_refused() {
    let world = World::new();
    let good = with(CHALLENGE, "channel", json!("sms")).to_string();
    let fits = format!("{good}{}", " ".repeat(64 * 1024 - good.len()));
    for (name, content_type, body, reason) in [
        ("form", "application/x-www-form-urlencoded", good.clone(), "media_type"),
        ("text", "text/plain", good.clone(), "media_type"),
        ("no_media_type", "", good.clone(), "media_type"),
        ("no_json", "application/json", "{".into(), "malformed"),
        ("empty", "application/json", String::new(), "malformed"),
        ("too_deep", "application/json", "{\"a\":".repeat(10_000), "malformed"),
        ("more_after_it", "application/json", format!("{good}{good}"), "malformed"),
        ("a_member_twice", "application/json", r#"{"subject":"a","subject":"b","channel":"sms"}"#.into(), "malformed"),
        ("too_long", "application/json", format!("{fits} "), "oversized"),
    ] {
        let request = Request::builder().method(Method::POST).uri(CHALLENGE).header(header::CONTENT_TYPE, content_type);
        let answer = world.send(request.body(Body::from(body)).unwrap(), ADDRESS).await;
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::BAD_REQUEST, MALFORMED), "{name}");
        assert_eq!(world.log.audited(), ["enroll:challenge", "refused", reason], "{name}");
    }
    assert_eq!(world.ledger.done(), [""; 0]);
    let request = Request::builder().method(Method::POST).uri(CHALLENGE);
    let request = request.header(header::CONTENT_TYPE, "Application/JSON; charset=utf-8");
    assert_eq!(world.send(request.body(Body::from(fits)).unwrap(), ADDRESS).await.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn what_a_stranger_sends_is_in_the_log_only_where_it_is_a_name() {
    let world = World::new();
    for path in [CHALLENGE, TOKEN, REVOCATION, "/registration", "/send_token", "/revoke_token"] {
        let body = json!({ "subject": "in\njected", "number": "in\njected", "extra\u{1b}": "jected" });
        world.post(path, &body).await;
    }
    world.post(TOKEN, &with(TOKEN, "sans", json!(["injected.example.com"]))).await;
    assert!(!world.log.text().contains("jected"), "{}", world.log.text());
}

#[tokio::test]
async fn the_routes_take_posts_alone() {
    let world = World::new();
    for path in [CHALLENGE, TOKEN, REVOCATION, "/registration", "/send_token", "/revoke_token"] {
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
            assert_eq!(world.send(request, ADDRESS).await.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        }
    }
    assert_eq!(world.post("/v2/enroll", &json!({})).await.status, StatusCode::NOT_FOUND);
}
