//! `POST /v2/enroll/token` with a code: that it gets one token, for its subject and what policy allows, and that nobody guesses it.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod world;

use std::time::Duration;

use axum::http::StatusCode;
use ports::{Ledger as _, ReplaceEnded as _, Row, TakeRow as _, memory::Failing};
use serde_json::json;
use test_support::{Answered, REFUSED};
use world::{NOW, Settings, World, granted, minutes, other_than};

const DIGEST: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn assert_refused(world: &World, answer: &Answered, reason: &str, name: &str) {
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::UNAUTHORIZED, REFUSED), "{name}");
    assert_eq!(world.log.audited(), ["enroll:token", "refused", reason], "{name}");
}

#[tokio::test]
async fn the_right_code_gets_a_token_for_its_subject() {
    let world = World::new();
    let code = world.code("alice", "sms").await;
    world.ledger.done();
    let answer = world.token("alice", &code).await;
    let claims = granted(&answer);
    assert_eq!(
        (&claims["sub"], &claims["sans"], &claims["iss"]),
        (&json!("alice"), &json!(["alice"]), &json!("countersign"))
    );
    assert_eq!((&claims["aud"], &claims["exp"]), (&json!("https://ca.example.com:9000/1.0/sign"), &json!(NOW + 300)));
    let body = answer.json();
    assert_eq!(body["ca"]["url"], "https://ca.example.com:9000");
    assert_eq!(body["expires_at"], NOW + 300);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    // Spent, and recorded, before it is signed.
    let order = ["count count#attempt", "read code", "count count#tries", "take code", "spend ott"];
    assert_eq!(world.ledger.done(), order);
    let expected = json!({
        "action": "enroll:token", "outcome": "granted", "request_id": "request-1", "source_ip": "192.0.2.7", "wire": "v2",
        "subject": "alice", "channel": "sms", "policies": "enroll.cedar#0", "jti": claims["jti"],
    });
    assert_eq!(world.log.event(), expected);
    let [row] = &world.issued()[..] else { panic!("one row") };
    assert_eq!(
        (&row["holder"], &row["subject"], &row["policies"]),
        (&json!("alice"), &json!("alice"), &json!("enroll.cedar#0"))
    );
    assert!(!world.log.text().contains(&code));
    assert!(!world.log.text().contains(body["token"].as_str().unwrap()));
}

#[tokio::test]
async fn other_names_and_the_digest_of_the_request_are_in_the_token() {
    let world = World::new();
    let code = world.code("alice", "mail").await;
    let body = json!({
        "subject": "alice", "code": code, "sans": ["alice", "laptop.alice.example.com"], "csr_sha256": DIGEST,
    });
    let claims = granted(&world.post("/v2/enroll/token", &body).await);
    assert_eq!(claims["sans"], json!(["alice", "laptop.alice.example.com"]));
    assert!(claims["cnf"].is_object());
    assert_eq!(world.log.event()["wants"], "laptop.alice.example.com");
    assert_eq!(world.log.event()["policies"], "enroll.cedar#0 enroll.cedar#1");
}

#[tokio::test]
async fn a_code_is_used_once() {
    let world = World::new();
    let code = world.code("alice", "sms").await;
    assert_eq!(world.token("alice", &code).await.status, StatusCode::OK);
    for _ in 0..3 {
        assert_refused(&world, &world.token("alice", &code).await, "no_code", "again");
    }
    assert_eq!(world.issued().len(), 1);
}

#[tokio::test]
async fn of_requests_with_the_right_code_at_once_one_gets_a_token() {
    let world = World::new();
    let code = world.code("alice", "sms").await;
    // All have read the row before the first takes it.
    world.ledger.taking.set(Failing::Slow(Duration::from_millis(20)));
    let token = || world.token("alice", &code);
    let (a, b, c, d) = tokio::join!(token(), token(), token(), token());
    let mut statuses = [a, b, c, d].map(|answer| answer.status.as_u16());
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401, 401, 401]);
    assert_eq!(world.issued().len(), 1);
    let taken = world.log.events().into_iter().filter(|event| event["reason"] == "code_taken");
    assert_eq!(taken.count(), 3);
}

#[tokio::test]
async fn five_tries_and_no_more_however_many_come_at_once() {
    let world = World::new();
    let code = world.code("alice", "sms").await;
    let wrong = other_than(&code);
    for at in 0..5 {
        assert_refused(&world, &world.token("alice", &wrong).await, "wrong_code", &at.to_string());
    }
    assert_refused(&world, &world.token("alice", &wrong).await, "tries", "the sixth");
    assert_refused(&world, &world.token("alice", &code).await, "tries", "the right one is too late");
    assert_eq!(world.challenge("alice", "sms").await.status, StatusCode::TOO_MANY_REQUESTS, "nor is there another");
    world.clock.advance(minutes(5));

    let code = world.code("alice", "sms").await;
    let wrong = other_than(&code);
    world.ledger.reading.set(Failing::Slow(Duration::from_millis(20)));
    let tries = || async {
        let wrong = || world.token("alice", &wrong);
        tokio::join!(wrong(), wrong(), wrong(), wrong())
    };
    tokio::join!(tries(), tries());
    world.ledger.reading.set(Failing::No);
    assert_eq!(world.ledger.counted("count#tries#").iter().max(), Some(&5));
    assert_refused(&world, &world.token("alice", &code).await, "tries", "after eight at once");
    assert!(world.issued().is_empty());
}

#[tokio::test]
async fn each_code_has_its_own_five_tries() {
    let world = World::new();
    for _ in 0..3 {
        // Before there is a code, and after it has ended as well.
        for _ in 0..6 {
            world.token("alice", "00000000").await;
        }
        let code = world.code("alice", "sms").await;
        for _ in 0..4 {
            assert_refused(
                &world,
                &world.token("alice", &other_than(&code)).await,
                "wrong_code",
                "one of the first four",
            );
        }
        assert_eq!(world.token("alice", &code).await.status, StatusCode::OK);
        world.clock.advance(minutes(5));
    }
}

#[tokio::test]
async fn the_fifth_try_may_be_the_right_one() {
    let world = World::new();
    let code = world.code("alice", "sms").await;
    for _ in 0..4 {
        world.token("alice", &other_than(&code)).await;
    }
    assert_eq!(world.token("alice", &code).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_code_is_for_its_subject_alone() {
    let world = World::new();
    let alices = world.code("alice", "sms").await;
    let bobs = world.code("bob", "mail").await;
    if alices != bobs {
        assert_refused(&world, &world.token("bob", &alices).await, "wrong_code", "alice's for bob");
        assert_refused(&world, &world.token("alice", &bobs).await, "wrong_code", "bob's for alice");
    }
    assert_refused(&world, &world.token("eve", &alices).await, "no_code", "alice's for eve");
    assert_refused(&world, &world.token("Alice", &alices).await, "no_code", "another name");
    assert_eq!(granted(&world.token("alice", &alices).await)["sub"], "alice");
    assert_eq!(granted(&world.token("bob", &bobs).await)["sub"], "bob");
}

#[tokio::test]
async fn a_row_that_was_copied_to_another_subject_is_worth_nothing() {
    let world = World::new();
    let code = world.code("alice", "sms").await;
    let rows = &world.ledger.rows;
    let alices = rows.rows().remove(0);
    world.challenge("mallory", "sms").await;
    let mallorys = rows.rows().into_iter().find(|row| row.key != alices.key).unwrap().key;
    rows.take(&mallorys).await.unwrap();
    rows.spend(Row { key: mallorys, ..alices }).await.unwrap();
    assert_refused(&world, &world.token("mallory", &code).await, "wrong_code", "it is for alice");
}

#[tokio::test]
async fn a_code_that_has_ended_is_refused_though_its_row_is_still_there() {
    let world = World::new();
    let code = world.code("alice", "sms").await;
    world.clock.advance(Duration::from_secs(299));
    assert_refused(&world, &world.token("alice", &other_than(&code)).await, "wrong_code", "before its end");
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.ledger.rows.rows().len(), 1);
    assert_refused(&world, &world.token("alice", &code).await, "ended_code", "at its end");
    assert_refused(&world, &world.token("alice", &other_than(&code)).await, "ended_code", "a wrong one at its end");
}

#[tokio::test]
async fn refusals_are_one_answer_and_the_same_work() {
    let world = World::new();
    let code = world.code("alice", "sms").await;
    world.challenge("mallory", "sms").await;
    world.ledger.done();
    let wrong = other_than(&code);
    let first = world.token("alice", &wrong).await;
    let work = world.ledger.done();
    assert_eq!(work, ["count count#attempt", "read code", "count count#tries"]);
    for (name, subject) in [("unknown_with_a_row", "mallory"), ("unknown_without", "nobody"), ("known_without", "bob")]
    {
        for _ in 0..7 {
            let answer = world.token(subject, &wrong).await;
            assert_eq!(answer.told(), first.told(), "{name}");
            assert_eq!(world.ledger.done(), work, "{name}");
        }
    }
    for _ in 0..7 {
        assert_eq!(world.token("alice", &wrong).await.told(), first.told());
        assert_eq!(world.ledger.done(), work);
    }
    world.clock.advance(minutes(6));
    assert_eq!(world.token("alice", &code).await.told(), first.told());
    assert_eq!(world.ledger.done(), work);
}

#[tokio::test]
async fn an_unknown_subjects_row_has_no_code_that_anybody_has() {
    let world = World::new();
    world.code("alice", "sms").await;
    world.challenge("mallory", "sms").await;
    let code = world.last_code("sms");
    assert_refused(&world, &world.token("mallory", &code).await, "wrong_code", "the code that was sent last");
}

#[tokio::test]
async fn policy_is_asked_about_every_name_and_a_denial_does_not_spend_the_code() {
    let world = World::new();
    let code = world.code("alice", "sms").await;
    let mut tries = 0;
    for (name, sans) in [
        ("another_subject", json!(["bob"])),
        ("among_good_ones", json!(["alice", "laptop.alice.example.com", "bank.example.com"])),
        ("a_name_that_ends_alike", json!(["evilalice.example.com"])),
        ("an_address", json!(["192.0.2.7"])),
    ] {
        let body = json!({ "subject": "alice", "code": code, "sans": sans });
        let answer = world.post("/v2/enroll/token", &body).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{name}");
        assert_eq!(world.log.audited(), ["enroll:token", "denied", "policy"], "{name}");
        assert!(world.log.event().get("wants").is_none() && world.log.event().get("policies").is_none(), "{name}");
        tries += 1;
    }
    assert_eq!(tries, 4, "they count as tries");
    assert_eq!(world.token("alice", &code).await.status, StatusCode::OK);
}

#[tokio::test]
async fn nobody_gets_the_name_of_the_ca_whatever_policy_says() {
    let world = World::new();
    world.objects.put("policies/enroll.cedar", "permit (principal, action, resource);");
    let code = world.code("alice", "sms").await;
    for name in ["ca.example.com", "CA.example.com", "*.example.com"] {
        let body = json!({ "subject": "alice", "code": code, "sans": ["alice", name] });
        assert_eq!(world.post("/v2/enroll/token", &body).await.status, StatusCode::FORBIDDEN, "{name}");
        assert_eq!(world.log.audited(), ["enroll:token", "denied", "ca_name"], "{name}");
    }
    assert!(world.issued().is_empty());
    let body = json!({ "subject": "alice", "code": code, "sans": ["alice", "www.example.com"] });
    assert_eq!(world.post("/v2/enroll/token", &body).await.status, StatusCode::OK, "others it gets");
}

#[tokio::test]
async fn without_a_policy_the_right_code_gets_nothing() {
    let world = World::new();
    world.objects.remove("policies/enroll.cedar");
    let code = world.code("alice", "sms").await;
    assert_eq!(world.token("alice", &code).await.status, StatusCode::FORBIDDEN);
    assert!(world.issued().is_empty());
}

#[tokio::test]
async fn policy_sees_channel_wire_and_address() {
    for (condition, allows) in [
        (r#"context.channel == "mail""#, true),
        (r#"context.channel == "sms""#, false),
        (r#"context.wire == "v2""#, true),
        (r#"context.wire == "v1""#, false),
        (r#"context.source_ip.isInRange(ip("192.0.2.0/24"))"#, true),
        (r#"context.source_ip.isInRange(ip("10.0.0.0/8"))"#, false),
        (r#"context.subject == "alice" && resource.name == "alice""#, true),
        ("context has scope", false),
    ] {
        let world = World::new();
        let policy = format!(
            r#"permit (principal == Subject::"alice", action == Action::"certificate:enroll", resource)
               when {{ context has channel && {condition} }};"#
        );
        world.objects.put("policies/enroll.cedar", policy);
        let code = world.code("alice", "mail").await;
        let expected = if allows { StatusCode::OK } else { StatusCode::FORBIDDEN };
        assert_eq!(world.token("alice", &code).await.status, expected, "{condition}");
    }
}

#[tokio::test]
async fn a_source_is_limited_in_the_codes_that_it_shows() {
    let world = World::with(Settings { rate: 3, ..Settings::default() });
    let code = world.code("alice", "sms").await;
    let show = async |address: &str, subject: &str, code: &str| {
        let body = json!({ "subject": subject, "code": code });
        world.post_from(address, "/v2/enroll/token", &body, None).await
    };
    for subject in ["bob", "eve", "mallory"] {
        assert_eq!(show("2001:db8::1", subject, "00000000").await.status, StatusCode::UNAUTHORIZED);
    }
    world.ledger.done();
    let refused = show("2001:db8::2", "alice", &code).await;
    assert_eq!((refused.status, refused.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, Some("300")));
    assert_eq!(world.log.audited(), ["enroll:token", "refused", "rate"]);
    assert_eq!(world.ledger.done(), ["count count#attempt"], "nothing else is looked at");
    assert_eq!(show("2001:db8:0:1::1", "alice", &code).await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_the_broker_needs_is_there_before_a_code_is_looked_at() {
    for (name, breaks, reason) in [
        ("no_ca", (|world| world.objects.remove("step-ca/ca.json")) as fn(&World), "step_ca"),
        ("a_ca_of_another_form", |world| world.objects.put("step-ca/ca.json", "{}"), "step_ca"),
        (
            "no_key_of_the_provisioners_kind",
            |world| world.objects.put("step-ca/ca.json", world.step_ca.ca_json().replace("JWK", "X5C")),
            "step_ca",
        ),
        ("policies_that_are_not_valid", |world| world.objects.put("policies/bad.cedar", "permit"), "policies"),
        ("no_bucket", |world| world.objects.switch.set(Failing::Unavailable), "policies"),
        ("no_secrets", |world| world.secrets.switch.set(Failing::Forbidden), "step_ca"),
    ] {
        let mut world = World::new();
        let code = world.code("alice", "sms").await;
        world.start();
        world.ledger.done();
        breaks(&world);
        for shown in [&code, &other_than(&code)] {
            let answer = world.token("alice", shown).await;
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{name}");
            assert_eq!(world.log.audited(), ["enroll:token", "failed", reason], "{name}");
            assert_eq!(world.ledger.done(), ["count count#attempt"], "{name}");
        }
    }
}

#[tokio::test]
async fn a_ledger_that_does_not_answer_gives_no_token() {
    for (name, breaks, reason) in [
        ("no_counter", (|world| world.ledger.counting.set(Failing::Throttled)) as fn(&World), "ledger"),
        ("no_row", |world| world.ledger.reading.set(Failing::Unavailable), "ledger"),
        ("not_taken", |world| world.ledger.taking.set(Failing::Unavailable), "ledger"),
        ("no_record", |world| world.ledger.spending.set(Failing::Unavailable), "issue"),
        ("slow", |world| world.ledger.reading.set(Failing::Slow(minutes(1))), "deadline"),
    ] {
        let world = World::new();
        let code = world.code("alice", "sms").await;
        breaks(&world);
        assert_eq!(world.token("alice", &code).await.status, StatusCode::SERVICE_UNAVAILABLE, "{name}");
        assert_eq!(world.log.audited(), ["enroll:token", "failed", reason], "{name}");
        assert!(world.issued().is_empty(), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_later_codes_row_is_no_proof_for_the_one_before() {
    let world = World::new();
    let code = world.code("alice", "sms").await;
    world.clock.advance(Duration::from_secs(299));
    // Between reading and taking the code ends, and the subject gets another.
    world.ledger.counting.set(Failing::Slow(Duration::from_millis(60)));
    let late = world.token("alice", &code);
    let meanwhile = async {
        tokio::time::sleep(Duration::from_millis(90)).await;
        world.clock.advance(Duration::from_secs(2));
        let mut later = world.ledger.rows.rows().remove(0);
        for (name, value) in &mut later.record {
            if *name == "challenge" {
                "0".repeat(32).clone_into(value);
            }
        }
        later.ttl = Some(NOW + 601);
        world.ledger.rows.replace_ended(later, NOW + 301).await.unwrap();
    };
    let (answer, ()) = tokio::join!(late, meanwhile);
    assert_refused(&world, &answer, "code_taken", "the row is another code's");
    assert!(world.issued().is_empty());
}
