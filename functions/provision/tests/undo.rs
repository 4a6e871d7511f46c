//! What fails after a certificate was made: it is undone, or the answer says that it is not.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod world;

use std::time::Duration;

use axum::http::StatusCode;
use ports::memory::Failing;
use serde_json::{Value, json};
use test_support::Answered;
use world::{Trouble, World, foreign_certificate};

const WAYS: [&str; 6] = ["own", "own_by_id", "aws", "given", "private", "private_alone"];

/// How a call fails whose end is known: what the caller is told.
const ENDED: [(&str, Trouble, StatusCode); 4] = [
    ("throttled", Trouble::Failing(Failing::Throttled), StatusCode::TOO_MANY_REQUESTS),
    ("forbidden", Trouble::Failing(Failing::Forbidden), StatusCode::SERVICE_UNAVAILABLE),
    ("invalid", Trouble::Invalid, StatusCode::BAD_REQUEST),
    ("missing", Trouble::Missing, StatusCode::BAD_REQUEST),
];

fn assert_retry_after(name: &str, answer: &Answered) {
    let expected = [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE].contains(&answer.status);
    assert_eq!(answer.header("retry-after"), expected.then_some("1"), "{name}");
}

/// The answer and the log say of a certificate whether it was undone.
fn assert_told(world: &World, name: &str, answer: &Answered, undone: bool) {
    let body = answer.json();
    assert_eq!(body.as_object().unwrap().len(), 3, "{name}: {body}");
    assert!(body["error"].is_string(), "{name}");
    assert_eq!(body["undone"], undone, "{name}");
    let event = world.log.event();
    assert_eq!(body["certificateId"], event["certificate"], "{name}");
    assert_eq!(event["detail"], if undone { "undone" } else { "not undone" }, "{name}");
    assert!(event["serial"].is_string() && event["ca"].is_string(), "{name}: {event}");
    assert_retry_after(name, answer);
}

fn left(world: &World) -> usize {
    world.iot.state().certificates.len()
}

#[tokio::test(start_paused = true)]
async fn a_registration_that_fails_is_undone() {
    let conflict = ("conflict", Trouble::Conflict, StatusCode::CONFLICT);
    for way in WAYS {
        for (failure, trouble, status) in ENDED.into_iter().chain([conflict]) {
            let name = &format!("{way} {failure}");
            let world = World::new();
            world.faults.fail("register", trouble);
            let answer = world.provision(&world.order(way)).await;
            assert_eq!(answer.status, status, "{name}: {}", answer.body);
            assert_told(&world, name, &answer, true);
            assert_eq!(left(&world), 0, "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_registration_without_an_answer_is_taken_back_as_far_as_it_goes() {
    for way in WAYS {
        for (failure, trouble) in [("unavailable", Trouble::Failing(Failing::Unavailable)), ("lost", Trouble::Lost)] {
            let name = &format!("{way} {failure}");
            let world = World::new();
            world.faults.fail("register", trouble);
            let answer = world.provision(&world.order(way)).await;
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{name}");
            assert_told(&world, name, &answer, false);
            assert_eq!(left(&world), 0, "{name}: deleted all the same");
            let attached = world.iot.state().things.values().any(|thing| !thing.certificates.is_empty());
            assert!(!attached, "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_registration_that_stops_half_way_leaves_no_certificate() {
    for way in WAYS {
        let world = World::new();
        world.iot.state().policies.clear();
        let answer = world.provision(&world.order(way)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{way}: {}", answer.body);
        assert_told(&world, way, &answer, true);
        assert_eq!(left(&world), 0, "{way}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_thing_with_other_settings_keeps_what_it_has() {
    for way in WAYS {
        let world = World::new();
        let first = world.provisioned("sensor-1").await;
        let mut body = world.order(way);
        body["parameters"]["Colour"] = json!("blue");
        let answer = world.provision(&body).await;
        assert_eq!(answer.status, StatusCode::CONFLICT, "{way}");
        assert_told(&world, way, &answer, true);
        let state = world.iot.state();
        assert_eq!(state.certificates.keys().collect::<Vec<_>>(), [first.id().as_str()]);
        assert_eq!(state.things["sensor-1"].certificates.len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_is_not_registered_is_undone_unless_it_was_given() {
    for way in ["own_by_id", "private_alone", "given"] {
        for (failure, trouble, status) in ENDED {
            let name = &format!("{way} {failure}");
            let world = World::new();
            world.faults.fail("register_certificate", trouble);
            let answer = world.provision(&world.order(way)).await;
            assert_eq!(answer.status, status, "{name}: {}", answer.body);
            if way == "given" {
                assert_eq!(answer.json().as_object().unwrap().len(), 1, "{name}: none was made");
                assert_retry_after(name, &answer);
            } else {
                assert_told(&world, name, &answer, true);
            }
            assert_eq!(left(&world), 0, "{name}");
        }
        for (failure, trouble) in [("unavailable", Trouble::Failing(Failing::Unavailable)), ("lost", Trouble::Lost)] {
            let name = &format!("{way} {failure}");
            let world = World::new();
            world.faults.fail("register_certificate", trouble);
            let answer = world.provision(&world.order(way)).await;
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{name}");
            assert_told(&world, name, &answer, false);
            let stays = usize::from(way == "given" && trouble == Trouble::Lost);
            assert_eq!(left(&world), stays, "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_given_certificate_that_aws_iot_knew_is_never_touched() {
    let certificate = foreign_certificate();
    let body = |world: &World| {
        let mut body = world.order("given");
        body["cdfProvisioningParameters"]["certificatePem"] = json!(certificate.to_pem());
        body
    };
    for (name, trouble, status) in [
        ("known", None, StatusCode::CONFLICT),
        ("throttled", Some(Trouble::Failing(Failing::Throttled)), StatusCode::TOO_MANY_REQUESTS),
        ("unavailable", Some(Trouble::Failing(Failing::Unavailable)), StatusCode::SERVICE_UNAVAILABLE),
        ("forbidden", Some(Trouble::Failing(Failing::Forbidden)), StatusCode::SERVICE_UNAVAILABLE),
        ("invalid", Some(Trouble::Invalid), StatusCode::BAD_REQUEST),
    ] {
        let world = World::new();
        let id = world.iot.state().add(&certificate.to_pem(), "ACTIVE").unwrap();
        let before = world.iot.state().certificates[&id].clone();
        if let Some(trouble) = trouble {
            world.faults.fail("register_certificate", trouble);
        }
        let answer = world.provision(&body(&world)).await;
        assert_eq!(answer.status, status, "{name}");
        assert_eq!(world.iot.state().certificates[&id], before, "{name}");
        assert_eq!(world.changes(), ["spend", "register_certificate"], "{name}");
        assert_ne!(answer.json()["undone"], true, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_row_in_the_ledger_no_certificate_stays() {
    for way in WAYS {
        for (failure, trouble, status) in [
            ("throttled", Trouble::Failing(Failing::Throttled), StatusCode::TOO_MANY_REQUESTS),
            ("unavailable", Trouble::Failing(Failing::Unavailable), StatusCode::SERVICE_UNAVAILABLE),
            ("lost", Trouble::Lost, StatusCode::SERVICE_UNAVAILABLE),
        ] {
            let name = &format!("{way} {failure}");
            let world = World::new();
            world.faults.fail("spend", trouble);
            let answer = world.provision(&world.order(way)).await;
            assert_eq!(answer.status, status, "{name}");
            if way == "aws" {
                assert_told(&world, name, &answer, true);
            } else {
                assert_eq!(answer.json().as_object().unwrap().len(), 1, "{name}: AWS IoT knows of none");
            }
            assert_eq!(left(&world), 0, "{name}");
            assert!(!world.faults.called("register"), "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_fails_before_there_is_a_certificate_needs_no_undoing() {
    for (way, call) in [
        ("own", "ca"),
        ("own", "read_secure"),
        ("aws", "create_certificate"),
        ("private", "ca"),
        ("private", "sign"),
        ("private_alone", "sign"),
    ] {
        for (failure, trouble, status) in [
            ("throttled", Trouble::Failing(Failing::Throttled), StatusCode::TOO_MANY_REQUESTS),
            ("unavailable", Trouble::Failing(Failing::Unavailable), StatusCode::SERVICE_UNAVAILABLE),
            ("forbidden", Trouble::Failing(Failing::Forbidden), StatusCode::SERVICE_UNAVAILABLE),
        ] {
            let name = &format!("{way} {call} {failure}");
            let world = World::new();
            world.faults.fail(call, trouble);
            let answer = world.provision(&world.order(way)).await;
            assert_eq!(answer.status, status, "{name}: {}", answer.body);
            assert_eq!(answer.json().as_object().unwrap().len(), 1, "{name}");
            assert_retry_after(name, &answer);
            assert_eq!(left(&world), 0, "{name}");
            assert!(world.ledger.rows().is_empty(), "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_undoing_that_fails_is_told() {
    for way in WAYS {
        // Answered, so that its end is known; its certificate is attached to a thing and to a policy.
        let undoing = [
            "set_status",
            "certificate",
            "policies_of",
            "things_of",
            "detach_policy",
            "detach_thing",
            "delete_certificate",
        ];
        for call in undoing {
            for trouble in
                [Trouble::Failing(Failing::Throttled), Trouble::Failing(Failing::Unavailable), Trouble::Conflict]
            {
                let name = &format!("{way} {call} {trouble:?}");
                let world = World::new();
                world.faults.fail("register", Trouble::Lost);
                world.faults.fail(call, trouble);
                let answer = world.provision(&world.order(way)).await;
                assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{name}");
                assert_told(&world, name, &answer, false);
                assert!(world.faults.called(call), "{name}");
                assert_eq!(left(&world), 1, "{name}");
                let state = world.iot.state();
                let status = &state.certificates.first_key_value().unwrap().1.status;
                assert_eq!(status, if call == "set_status" { "ACTIVE" } else { "INACTIVE" }, "{name}");
            }
        }
        let world = World::new();
        world.faults.fail("register", Trouble::Invalid);
        world.faults.fail("set_status", Trouble::Failing(Failing::Unavailable));
        assert_told(&world, way, &world.provision(&world.order(way)).await, false);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_takes_too_long_is_given_up_in_time_to_undo() {
    let slow = Trouble::Failing(Failing::Slow(Duration::from_secs(3_600)));
    for (way, call, told) in [
        ("own", "register", Some(false)),
        ("own_by_id", "register_certificate", Some(false)),
        ("own_by_id", "register", Some(false)),
        ("aws", "register", Some(false)),
        ("aws", "spend", Some(true)),
        ("own", "spend", None),
        ("given", "register_certificate", Some(false)),
        ("given", "register", Some(false)),
        ("private", "sign", None),
        ("own", "read_secure", None),
    ] {
        let name = &format!("{way} {call}");
        let world = World::new();
        world.faults.fail(call, slow);
        let started = tokio::time::Instant::now();
        let answer = world.provision(&world.order(way)).await;
        assert!(started.elapsed() < Duration::from_secs(28), "{name}: {:?}", started.elapsed());
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{name}");
        match told {
            Some(undone) => assert_told(&world, name, &answer, undone),
            None => assert_eq!(answer.json().as_object().unwrap().len(), 1, "{name}"),
        }
        assert_eq!(left(&world), 0, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn steps_that_are_each_slow_end_before_the_gateway_does() {
    let world = World::new();
    for call in ["read_secure", "spend", "register_certificate", "register", "set_status", "delete_certificate"] {
        world.faults.fail(call, Trouble::Failing(Failing::Slow(Duration::from_secs(8))));
    }
    let started = tokio::time::Instant::now();
    let answer = world.provision(&world.order("own_by_id")).await;
    assert!(started.elapsed() < Duration::from_secs(28), "{:?}", started.elapsed());
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_told(&world, "slow", &answer, false);
}

#[tokio::test(start_paused = true)]
async fn what_was_undone_can_be_had_again() {
    for way in WAYS {
        let mut world = World::new();
        let body: Value = world.order(way);
        world.faults.fail("register", Trouble::Failing(Failing::Throttled));
        assert_eq!(world.provision(&body).await.status, StatusCode::TOO_MANY_REQUESTS, "{way}");
        world.faults.clear();
        world.request_id = "request-2".into();
        let again = world.provision(&body).await;
        assert_eq!(again.status, StatusCode::CREATED, "{way}: {}", again.body);
    }
}
