//! `POST /v2/enroll/challenge`: who gets a code, and that nobody else learns anything.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod world;

use std::time::Duration;

use axum::http::StatusCode;
use ports::memory::Failing;
use serde_json::{Value, json};
use tokio::time::Instant;
use world::{NOW, Settings, World, minutes};

const ACCEPTED: &str = r#"{"expires_in":300}"#;

#[tokio::test]
async fn a_code_goes_to_the_address_of_the_directory_by_the_channel_that_was_asked_for() {
    let world = World::new();
    let code = world.code("alice", "sms").await;
    let [sms] = &world.sms.sent()[..] else { panic!("one message") };
    assert_eq!((sms.phone.as_str(), sms.text.starts_with(&code)), ("+391234567890", true));
    world.clock.advance(minutes(5));
    let code = world.code("alice", "mail").await;
    let [mail] = &world.mail.sent()[..] else { panic!("one mail") };
    assert_eq!(mail.to, "alice@example.com");
    assert!(mail.text.contains(&code) && !mail.subject.contains(&code));
    world.clock.advance(minutes(5));
    world.code("alice", "webhook").await;
    let [posted] = &world.webhook.posted()[..] else { panic!("one post") };
    let body: Value = serde_json::from_str(&posted.body).unwrap();
    assert_eq!(posted.timestamp, NOW + 600);
    assert_eq!((&body["type"], &body["data"]["address"]), (&json!("enrollment.code"), &json!("telegram:42")));
    assert_eq!(world.sent(), 3);
    let expected = json!({
        "action": "enroll:challenge", "outcome": "granted", "request_id": "request-1", "source_ip": "192.0.2.7",
        "wire": "v2", "subject": "alice", "channel": "webhook",
    });
    assert_eq!(world.log.event(), expected);
}

#[tokio::test]
async fn the_ledger_and_the_log_hold_neither_code_nor_address() {
    let world = World::new();
    let mut codes = Vec::new();
    for channel in ["sms", "mail", "webhook"] {
        codes.push(world.code("alice", channel).await);
        world.clock.advance(minutes(5));
    }
    let kept = format!("{}{:?}", world.log.text(), world.ledger.rows.rows());
    for code in codes {
        assert!(!kept.contains(&code), "{code}");
    }
    for address in ["391234567890", "alice@example.com", "telegram:42"] {
        assert!(!kept.contains(address), "{address}");
    }
    let [row] = &world.ledger.rows.rows()[..] else { panic!("one row for a subject") };
    assert_eq!(row.ttl, Some(NOW + 600 + 300));
}

#[tokio::test]
async fn nobody_learns_who_exists_or_has_an_address() {
    let world = World::new();
    let known = world.challenge("alice", "sms").await;
    assert_eq!((known.status, known.body.as_str()), (StatusCode::ACCEPTED, ACCEPTED));
    let work = world.ledger.done();
    assert_eq!(work, ["count count#challenge", "read code", "read count#codes", "replace code", "count count#codes"]);
    for (subject, channel, reason) in [
        ("mallory", "sms", "unknown_subject"),
        ("mallory2", "webhook", "unknown_subject"),
        ("bob", "sms", "no_address"),
        ("eve", "mail", "no_address"),
    ] {
        let answer = world.challenge(subject, channel).await;
        assert_eq!(answer.told(), known.told(), "{subject}");
        assert_eq!(world.ledger.done(), work, "{subject}");
        assert_eq!(world.log.audited(), ["enroll:challenge", "refused", reason]);
        assert_eq!((&world.log.event()["subject"], &world.log.event()["channel"]), (&json!(subject), &json!(channel)));
    }
    assert_eq!(world.sent(), 1);
    // And again while codes are open, which all of them have.
    let again = world.challenge("alice", "sms").await;
    assert_eq!(again.status, StatusCode::TOO_MANY_REQUESTS);
    let work = world.ledger.done();
    for subject in ["mallory", "bob"] {
        let answer = world.challenge(subject, "sms").await;
        assert_eq!(answer.told(), again.told(), "{subject}");
        assert_eq!(world.ledger.done(), work, "{subject}");
        assert_eq!(world.log.audited(), ["enroll:challenge", "refused", "open_code"]);
    }
}

#[tokio::test]
async fn no_code_is_sent_where_it_could_open_nothing() {
    let world = World::new();
    world.objects.remove("step-ca/ca.json");
    for subject in ["alice", "mallory"] {
        assert_eq!(world.challenge(subject, "sms").await.status, StatusCode::SERVICE_UNAVAILABLE, "{subject}");
        assert_eq!(world.log.audited(), ["enroll:challenge", "failed", "step_ca"], "{subject}");
        assert_eq!(world.ledger.done(), ["count count#challenge"], "{subject}");
    }
    assert_eq!(world.sent(), 0);
}

#[tokio::test]
async fn a_subject_has_one_open_code_whatever_channel_is_asked_for() {
    let world = World::new();
    let code = world.code("alice", "sms").await;
    for (after, left) in [(0, "300"), (100, "200"), (199, "1")] {
        world.clock.advance(Duration::from_secs(after));
        let answer = world.challenge("alice", "webhook").await;
        assert_eq!((answer.status, answer.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, Some(left)));
        assert_eq!(world.log.audited(), ["enroll:challenge", "refused", "open_code"]);
    }
    assert_eq!(world.sent(), 1);
    assert_eq!(world.token("alice", &code).await.status, StatusCode::OK, "the first is good until its end");
    world.code("alice", "sms").await;
}

#[tokio::test]
async fn a_code_that_has_ended_is_replaced_though_its_row_is_still_there() {
    let world = World::new();
    let first = world.code("alice", "sms").await;
    world.clock.advance(minutes(5));
    assert_eq!(world.ledger.rows.rows().len(), 1);
    let second = world.code("alice", "sms").await;
    assert_eq!(world.ledger.rows.rows().len(), 1);
    // By a chance of one in a hundred million they are equal.
    if first != second {
        assert_eq!(world.token("alice", &first).await.status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(world.token("alice", &second).await.status, StatusCode::OK);
}

#[tokio::test]
async fn of_two_requests_at_once_one_sends_a_code() {
    let world = World::new();
    world.ledger.replacing.set(Failing::Slow(Duration::from_millis(5)));
    let (one, other) = tokio::join!(world.challenge("alice", "sms"), world.challenge("alice", "mail"));
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [StatusCode::ACCEPTED, StatusCode::TOO_MANY_REQUESTS]);
    assert_eq!((world.sent(), world.ledger.counted("count#codes")), (1, vec![1]));
}

#[tokio::test]
async fn a_source_is_limited_whoever_it_asks_codes_for() {
    let world = World::with(Settings { rate: 3, ..Settings::default() });
    let ask = async |address: &str, subject: &str| {
        let body = json!({ "subject": subject, "channel": "sms" });
        world.post_from(address, "/v2/enroll/challenge", &body, None).await
    };
    world.clock.advance(Duration::from_secs(60));
    for subject in ["alice", "mallory", "mallory"] {
        ask("192.0.2.7", subject).await;
    }
    let refused = ask("192.0.2.7", "bob").await;
    assert_eq!((refused.status, refused.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, Some("240")));
    assert_eq!(world.log.audited(), ["enroll:challenge", "refused", "rate"]);
    assert_eq!(ask("::ffff:192.0.2.7", "bob").await.status, StatusCode::TOO_MANY_REQUESTS, "it is the same");
    assert_eq!(ask("192.0.2.8", "bob").await.status, StatusCode::ACCEPTED, "a neighbour is another");
    // Of IPv6 everybody has as many addresses as he likes.
    for (address, subject) in [("2001:db8::1", "a"), ("2001:db8::2", "b"), ("2001:db8::ffff:ffff:ffff:ffff", "c")] {
        assert_eq!(ask(address, subject).await.status, StatusCode::ACCEPTED, "{address}");
    }
    assert_eq!(ask("2001:db8::3", "d").await.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(ask("2001:db8:0:1::1", "d").await.status, StatusCode::ACCEPTED, "another network");
    world.clock.advance(minutes(4));
    assert_eq!(ask("192.0.2.7", "e").await.status, StatusCode::ACCEPTED, "in the next five minutes");
}

#[tokio::test]
async fn a_source_over_its_limit_makes_nothing_be_written_for_the_subject() {
    let world = World::with(Settings { rate: 0, ..Settings::default() });
    world.challenge("alice", "sms").await;
    assert_eq!(world.ledger.done(), ["count count#challenge"]);
    assert!(world.ledger.rows.rows().is_empty() && world.sent() == 0);
}

#[tokio::test]
async fn a_subject_gets_so_many_codes_a_day_and_no_more() {
    let world = World::with(Settings { codes_per_day: 2, ..Settings::default() });
    for subject in ["alice", "mallory"] {
        for _ in 0..2 {
            assert_eq!(world.challenge(subject, "sms").await.status, StatusCode::ACCEPTED, "{subject}");
            // Refused while it is open: this does not use up the day.
            assert_eq!(world.challenge(subject, "sms").await.status, StatusCode::TOO_MANY_REQUESTS, "{subject}");
            world.clock.advance(minutes(5));
        }
        let refused = world.challenge(subject, "sms").await;
        assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS, "{subject}");
        assert_eq!(world.log.audited(), ["enroll:challenge", "refused", "codes_per_day"], "{subject}");
        assert_eq!(world.token(subject, "00000000").await.status, StatusCode::UNAUTHORIZED, "{subject}");
        assert_eq!(world.log.audited()[2], "ended_code", "{subject}: nobody guesses at what was not sent");
        let left: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        let passed = if subject == "alice" { 600 } else { 1_200 };
        assert_eq!(left, 86_400 - passed);
    }
    assert_eq!(world.sent(), 2);
    world.clock.advance(minutes(24 * 60));
    world.code("alice", "sms").await;
}

#[tokio::test]
async fn a_code_that_cannot_be_counted_is_not_sent_and_nobody_guesses_at_it() {
    let world = World::new();
    world.ledger.counting_codes.set(Failing::Unavailable);
    assert_eq!(world.challenge("alice", "sms").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(world.log.audited(), ["enroll:challenge", "failed", "ledger"]);
    assert!(world.ledger.rows.rows().is_empty() && world.sent() == 0);
    world.ledger.counting_codes.set(Failing::No);
    world.code("alice", "sms").await;
}

#[tokio::test]
async fn a_code_that_cannot_be_sent_is_answered_as_one_that_was_and_audited_as_failed() {
    let world = World::new();
    let good = world.challenge("alice", "mail").await;
    for (failing, reason) in [
        (Failing::Unavailable, "send"),
        (Failing::Throttled, "send"),
        (Failing::Forbidden, "send"),
        (Failing::Slow(Duration::from_secs(60)), "send_deadline"),
    ] {
        world.clock.advance(minutes(5));
        world.sms.switch.set(failing);
        let answer = world.challenge("alice", "sms").await;
        assert_eq!(answer.told(), good.told(), "{failing:?}");
        assert_eq!(world.log.audited(), ["enroll:challenge", "failed", reason], "{failing:?}");
    }
}

#[tokio::test]
async fn a_channel_that_the_deployment_lacks_is_not_found_whoever_asks_for_whom() {
    let world = World::with(Settings { has_mail: false, has_webhook: false, ..Settings::default() });
    for subject in ["alice", "bob", "eve", "mallory"] {
        for channel in ["mail", "webhook"] {
            let answer = world.challenge(subject, channel).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{subject} {channel}");
            assert_eq!(world.log.audited(), ["enroll:challenge", "refused", "no_channel"]);
        }
    }
    assert!(world.ledger.rows.rows().is_empty());
    world.code("alice", "sms").await;
}

#[tokio::test]
async fn what_the_broker_needs_is_there_before_anything_is_written() {
    let nothing: fn(&World) = |_| {};
    for (name, breaks, reason, is_written) in [
        (
            "a_directory_that_is_not_valid",
            (|world| world.objects.put("subjects/bad.json", "{")) as fn(&World),
            "directory",
            false,
        ),
        ("no_bucket", |world| world.objects.switch.set(Failing::Unavailable), "directory", false),
        ("no_secrets", |world| world.secrets.switch.set(Failing::Forbidden), "code_key", false),
        ("no_counter", |world| world.ledger.counting.set(Failing::Unavailable), "ledger", false),
        ("no_row", |world| world.ledger.replacing.set(Failing::Unavailable), "ledger", false),
        ("a_slow_ledger", |world| world.ledger.replacing.set(Failing::Slow(minutes(1))), "deadline", false),
        ("all_of_it", nothing, "", true),
    ] {
        let world = World::new();
        breaks(&world);
        let answer = world.challenge("alice", "sms").await;
        if is_written {
            assert_eq!(answer.status, StatusCode::ACCEPTED, "{name}");
            continue;
        }
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{name}");
        assert_eq!(world.log.audited(), ["enroll:challenge", "failed", reason], "{name}");
        assert!(world.ledger.rows.rows().is_empty() && world.sent() == 0, "{name}");
    }
}

#[tokio::test]
async fn a_directory_that_became_invalid_leaves_the_last_good_one_in_force() {
    let world = World::new();
    world.code("alice", "sms").await;
    world.objects.put("subjects/more.json", r#"{"alice": {"sms": "+399876543210"}}"#);
    world.clock.advance(minutes(5));
    world.code("alice", "sms").await;
    assert!(world.sms.sent().iter().all(|sms| sms.phone == "+391234567890"));
    assert!(world.log.text().contains("subjects are not valid"));
}

#[tokio::test(start_paused = true)]
async fn the_time_of_the_answer_does_not_tell_whether_a_code_was_sent() {
    let slow = Settings {
        grid: Duration::from_secs(1),
        sending: Duration::from_secs(5),
        deadline: Duration::from_secs(8),
        ..Settings::default()
    };
    let world = World::with(slow);
    let timed = async |subject: &str, channel: &str| {
        let began = Instant::now();
        assert_eq!(world.challenge(subject, channel).await.status, StatusCode::ACCEPTED);
        began.elapsed().as_millis()
    };
    world.sms.switch.set(Failing::Slow(Duration::from_millis(400)));
    assert_eq!((timed("alice", "sms").await, timed("mallory", "sms").await), (1_000, 1_000));
    assert_eq!(timed("bob", "sms").await, 1_000);
    // A receiver that is always slow.
    world.webhook.switch.set(Failing::Slow(Duration::from_millis(1_700)));
    assert_eq!((timed("eve", "webhook").await, timed("mallory2", "webhook").await), (2_000, 2_000));
    assert_eq!(timed("mallory4", "sms").await, 2_000, "by another channel as well");
    // And one that never answers.
    world.webhook.switch.set(Failing::Slow(minutes(1)));
    world.clock.advance(minutes(5));
    assert_eq!((timed("eve", "webhook").await, timed("mallory3", "webhook").await), (6_000, 6_000));
}
