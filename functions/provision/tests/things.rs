//! Things that are there: to see one, to set its certificates' status, and to delete it.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod world;

use std::time::Duration;

use axum::http::StatusCode;
use ports::{Ledger as _, Row, memory::Failing};
use serde_json::json;
use test_support::Answered;
use world::{ThingEntry, Trouble, World, arn, foreign_certificate};

const TROUBLES: [Trouble; 3] =
    [Trouble::Failing(Failing::Throttled), Trouble::Failing(Failing::Unavailable), Trouble::Lost];

/// A thing `shared-with` that has this certificate as well.
fn share(world: &World, id: &str) {
    let entry = ThingEntry { certificates: [arn("cert", id)].into(), ..ThingEntry::default() };
    world.iot.state().things.insert("shared-with".into(), entry);
}

/// The thing `sensor-1` with two certificates: the first is another thing's as well, the second alone has the policy `alone`.
async fn two_certificates() -> (World, String, String) {
    let world = World::new();
    let [shared, own] = [world.provisioned("sensor-1").await, world.provisioned("sensor-1").await];
    let [shared, own] = [shared.id().to_string(), own.id().to_string()];
    share(&world, &shared);
    {
        let mut state = world.iot.state();
        state.policies.insert("alone".into(), "{}".into());
        state.certificates.get_mut(&own).unwrap().policies.insert("alone".into());
    }
    world.faults.clear();
    (world, shared, own)
}

fn assert_nothing_left(world: &World, name: &str, shared: &str) {
    let state = world.iot.state();
    assert_eq!(state.things.keys().collect::<Vec<_>>(), ["shared-with"], "{name}");
    assert_eq!(state.certificates.keys().collect::<Vec<_>>(), [shared], "{name}");
    assert_eq!(state.certificates[shared].status, "ACTIVE", "{name}");
    assert!(state.certificates[shared].policies.contains("devices"), "{name}");
    assert_eq!(state.things["shared-with"].certificates.len(), 1, "{name}");
    assert_eq!(state.policies.keys().collect::<Vec<_>>(), ["devices"], "{name}");
    assert!(!world.ledger.rows().iter().any(|row| row.key.starts_with("deletion#")), "{name}");
}

fn assert_missing(world: &World, answer: &Answered, action: &str) {
    assert_eq!(answer.status, StatusCode::NOT_FOUND, "{}", answer.body);
    assert_eq!(answer.json(), json!({ "error": "there is no such thing" }));
    assert_eq!(world.log.audited(), [action, "refused", "missing"]);
}

#[tokio::test(start_paused = true)]
async fn a_thing_is_shown_with_what_belongs_to_it() {
    let world = World::new();
    let certificate = world.provisioned("sensor-1").await;
    let id = certificate.id().to_string();
    world.group("hall", &["plant"]);
    {
        let mut state = world.iot.state();
        let thing = state.things.get_mut("sensor-1").unwrap();
        thing.groups.push("hall".into());
        thing.type_name = Some("sensor".into());
    }
    let answer = world.get("/things/sensor-1").await;
    assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, Some("application/json")));
    assert_eq!(
        answer.json(),
        json!({
            "thingName": "sensor-1",
            "arn": arn("thing", "sensor-1"),
            "thingType": "sensor",
            "attributes": { "colour": "red" },
            "certificates": [{
                "certificateId": id,
                "arn": arn("cert", &id),
                "certificateStatus": "ACTIVE",
                "certificatePem": certificate.to_pem(),
            }],
            "policies": [{
                "policyName": "devices",
                "arn": arn("policy", "devices"),
                "policyDocument": { "Version": "2012-10-17", "Statement": [] },
            }],
            "groups": [{ "groupName": "hall", "arn": arn("thinggroup", "hall"), "attributes": { "site": "north" } }],
        })
    );
    assert_eq!(world.log.audited(), ["device:read", "granted", ""]);
}

#[tokio::test(start_paused = true)]
async fn a_thing_with_nothing_is_shown_with_empty_lists() {
    let world = World::new();
    world.iot.state().things.insert("a b".into(), ThingEntry::default());
    let answer = world.get("/things/a%20b").await;
    let expected = json!({
        "thingName": "a b",
        "arn": arn("thing", "a b"),
        "attributes": {},
        "certificates": [],
        "policies": [],
        "groups": [],
    });
    assert_eq!(answer.json(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_policy_of_two_certificates_is_shown_once_and_one_that_is_no_json_as_text() {
    let (world, ..) = two_certificates().await;
    world.iot.state().policies.insert("alone".into(), "not JSON".into());
    let answer = world.get("/things/sensor-1").await.json();
    let policies: Vec<_> =
        answer["policies"].as_array().unwrap().iter().map(|policy| policy["policyName"].as_str().unwrap()).collect();
    assert_eq!(policies, ["alone", "devices"]);
    assert_eq!(answer["policies"][0]["policyDocument"], "not JSON");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_a_404() {
    let world = World::new();
    for name in ["unknown", "%FF", "..%2Fthings", "a%00b"] {
        let path = format!("/things/{name}");
        for answer in [
            world.get(&path).await,
            world.delete(&path).await,
            world.patch(&format!("{path}/certificates"), &json!({ "certificateStatus": "ACTIVE" })).await,
        ] {
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{name}: {}", answer.body);
            assert!(answer.json()["error"].is_string());
        }
    }
    assert_missing(&world, &world.get("/things/unknown").await, "device:read");
    assert_missing(&world, &world.delete("/things/unknown").await, "device:delete");
    assert!(world.changes().is_empty(), "{:?}", world.changes());
    for call in ["thing", "certificates_of"] {
        world.faults.fail(call, Trouble::Invalid);
    }
    assert_missing(&world, &world.get("/things/a,b").await, "device:read");
    assert_missing(&world, &world.delete("/things/a,b").await, "device:delete");
}

#[tokio::test(start_paused = true)]
async fn each_call_behind_a_thing_may_fail() {
    for call in ["thing", "certificates_of", "groups_of", "certificate", "policies_of", "policy", "group"] {
        for (trouble, status) in [
            (Trouble::Failing(Failing::Throttled), StatusCode::TOO_MANY_REQUESTS),
            (Trouble::Failing(Failing::Unavailable), StatusCode::SERVICE_UNAVAILABLE),
            (Trouble::Failing(Failing::Forbidden), StatusCode::SERVICE_UNAVAILABLE),
        ] {
            let world = World::new();
            world.provisioned("sensor-1").await;
            world.group("hall", &[]);
            world.iot.state().things.get_mut("sensor-1").unwrap().groups.push("hall".into());
            world.faults.fail(call, trouble);
            let answer = world.get("/things/sensor-1").await;
            assert_eq!((answer.status, answer.header("retry-after")), (status, Some("1")), "{call} {trouble:?}");
            assert_eq!(world.log.audited()[1], "failed");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn policy_tells_things_and_verbs_apart() {
    let world = World::new();
    world.provisioned("sensor-1").await;
    world.provisioned("door-1").await;
    world.allow(r#"permit (principal, action == Action::"device:read", resource is Thing) when { resource.name like "sensor-*" };"#);
    world.clock.advance(Duration::from_secs(3_600));
    world.faults.clear();
    assert_eq!(world.get("/things/sensor-1").await.status, StatusCode::OK);
    for (action, answer) in [
        ("device:read", world.get("/things/door-1").await),
        ("device:read", world.get("/things/unknown").await),
        ("device:delete", world.delete("/things/sensor-1").await),
        (
            "device:update",
            world.patch("/things/sensor-1/certificates", &json!({ "certificateStatus": "REVOKED" })).await,
        ),
    ] {
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{action}");
    }
    assert_eq!(world.log.audited(), ["device:update", "denied", "policy"]);
    assert_eq!(world.changes(), [] as [&str; 0]);
}

#[tokio::test(start_paused = true)]
async fn all_certificates_get_the_status() {
    for status in ["ACTIVE", "INACTIVE", "REVOKED"] {
        let (world, shared, own) = two_certificates().await;
        let answer = world.patch("/things/sensor-1/certificates", &json!({ "certificateStatus": status })).await;
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::NO_CONTENT, ""));
        let state = world.iot.state();
        assert_eq!([&state.certificates[&shared].status, &state.certificates[&own].status], [status, status]);
        let event = world.log.event();
        assert_eq!(event["wants"], "sensor-1");
        let detail = event["detail"].as_str().unwrap();
        assert!([status, &shared, &own].iter().all(|part| detail.contains(*part)), "{detail}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_that_is_none_is_refused() {
    let (world, ..) = two_certificates().await;
    for body in [
        json!({}),
        json!({ "certificateStatus": "active" }),
        json!({ "certificateStatus": "PENDING_TRANSFER" }),
        json!({ "certificateStatus": null }),
        json!({ "certificateStatus": "ACTIVE", "force": true }),
        json!("ACTIVE"),
    ] {
        let answer = world.patch("/things/sensor-1/certificates", &body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(world.log.audited(), ["device:update", "refused", "malformed"]);
    }
    assert_eq!(world.changes(), [] as [&str; 0]);
}

#[tokio::test(start_paused = true)]
async fn another_things_certificate_is_changed_where_policy_allows_it_for_that_thing_too() {
    let (world, shared, own) = two_certificates().await;
    let permit = |names: &str| {
        format!(r#"permit (principal, action == Action::"device:update", resource is Thing) when {{ {names} }};"#)
    };
    let revoke = json!({ "certificateStatus": "REVOKED" });
    world.allow(&permit(r#"resource.name == "sensor-1""#));
    world.clock.advance(Duration::from_secs(3_600));
    let answer = world.patch("/things/sensor-1/certificates", &revoke).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert_eq!(world.log.audited(), ["device:update", "denied", "policy"]);
    assert_eq!(world.changes(), [] as [&str; 0], "not even the one that is its own");
    world.allow(&permit(r#"resource.name == "sensor-1" || resource.name == "shared-with""#));
    world.clock.advance(Duration::from_secs(3_600));
    assert_eq!(world.patch("/things/sensor-1/certificates", &revoke).await.status, StatusCode::NO_CONTENT);
    let state = world.iot.state();
    assert_eq!([&state.certificates[&shared].status, &state.certificates[&own].status], ["REVOKED", "REVOKED"]);
}

#[tokio::test(start_paused = true)]
async fn a_revoked_certificate_stays_so_and_shields_no_other() {
    let (world, shared, own) = two_certificates().await;
    for (revoked, other) in [(&shared, &own), (&own, &shared)] {
        {
            let mut state = world.iot.state();
            "REVOKED".clone_into(&mut state.certificates.get_mut(revoked).unwrap().status);
            "ACTIVE".clone_into(&mut state.certificates.get_mut(other).unwrap().status);
        }
        let answer = world.patch("/things/sensor-1/certificates", &json!({ "certificateStatus": "INACTIVE" })).await;
        assert_eq!(answer.status, StatusCode::CONFLICT);
        let state = world.iot.state();
        assert_eq!([&state.certificates[revoked].status, &state.certificates[other].status], ["REVOKED", "INACTIVE"]);
    }
}

#[tokio::test(start_paused = true)]
async fn all_others_are_said_to_be_set_where_they_are_alone() {
    let (world, shared, own) = two_certificates().await;
    let block = json!({ "certificateStatus": "INACTIVE" });
    for revoked in [&shared, &own] {
        {
            let mut state = world.iot.state();
            for id in [&shared, &own] {
                "ACTIVE".clone_into(&mut state.certificates.get_mut(id).unwrap().status);
            }
            "REVOKED".clone_into(&mut state.certificates.get_mut(revoked).unwrap().status);
        }
        world.faults.clear();
        assert_eq!(world.patch("/things/sensor-1/certificates", &block).await.status, StatusCode::CONFLICT);
        let calls = world.faults.calls();
        let places = calls.iter().enumerate().filter(|(_, call)| **call == "set_status").map(|(place, _)| place);
        for place in places {
            world.faults.fail_nth(place, Trouble::Failing(Failing::Throttled));
            let answer = world.patch("/things/sensor-1/certificates", &block).await;
            assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS, "{place}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn each_call_behind_a_status_may_fail() {
    for call in ["certificates_of", "things_of", "set_status"] {
        for (trouble, status) in [
            (Trouble::Failing(Failing::Throttled), StatusCode::TOO_MANY_REQUESTS),
            (Trouble::Failing(Failing::Unavailable), StatusCode::SERVICE_UNAVAILABLE),
        ] {
            let (world, ..) = two_certificates().await;
            world.faults.fail(call, trouble);
            let answer = world.patch("/things/sensor-1/certificates", &json!({ "certificateStatus": "ACTIVE" })).await;
            assert_eq!((answer.status, answer.header("retry-after")), (status, Some("1")), "{call} {trouble:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_thing_goes_with_what_serves_nothing_else() {
    let (world, shared, own) = two_certificates().await;
    let answer = world.delete("/things/sensor-1").await;
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::NO_CONTENT, ""));
    assert_nothing_left(&world, "deleted", &shared);
    let calls = world.changes();
    assert_eq!((calls.first(), calls.last()), (Some(&"spend"), Some(&"take")), "remembered around all: {calls:?}");
    let event = world.log.event();
    assert_eq!([&event["action"], &event["outcome"], &event["wants"]], ["device:delete", "granted", "sensor-1"]);
    assert!(event["detail"].as_str().unwrap().contains(&own));
    assert_missing(&world, &world.delete("/things/sensor-1").await, "device:delete");
}

#[tokio::test(start_paused = true)]
async fn what_the_deployment_keeps_is_kept() {
    for (certificates, policies) in [(false, false), (false, true), (true, false)] {
        let (mut world, shared, own) = two_certificates().await;
        world.config.delete_certificates = certificates;
        world.config.delete_policies = policies;
        world.start();
        assert_eq!(world.delete("/things/sensor-1").await.status, StatusCode::NO_CONTENT);
        let state = world.iot.state();
        assert!(!state.things.contains_key("sensor-1"));
        assert!(state.certificates.contains_key(&shared));
        assert_eq!(state.certificates.contains_key(&own), !certificates);
        assert_eq!(state.policies.contains_key("alone"), !policies, "{certificates} {policies}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_revoked_certificate_can_be_deleted() {
    let (world, shared, own) = two_certificates().await;
    "REVOKED".clone_into(&mut world.iot.state().certificates.get_mut(&own).unwrap().status);
    assert_eq!(world.delete("/things/sensor-1").await.status, StatusCode::NO_CONTENT);
    assert_nothing_left(&world, "revoked", &shared);
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_fails_anywhere_is_taken_up_again() {
    for trouble in TROUBLES {
        let mut places = 0;
        for place in 0.. {
            let (world, shared, _) = two_certificates().await;
            world.faults.fail_nth(place, trouble);
            let first = world.delete("/things/sensor-1").await;
            let calls = world.faults.calls();
            if calls.len() <= place {
                assert_eq!(first.status, StatusCode::NO_CONTENT);
                break;
            }
            let name = &format!("{trouble:?} in call {place}: {}", calls[place]);
            places += 1;
            assert_ne!(first.status, StatusCode::NO_CONTENT, "{name}");
            assert_eq!(first.header("retry-after"), Some("1"), "{name}: {}", first.body);
            assert_eq!(world.log.audited()[1], "failed", "{name}");
            world.faults.clear();
            let again = world.delete("/things/sensor-1").await;
            // Where the last answer was lost there is nothing left to take up.
            let expected =
                if trouble == Trouble::Lost && place + 1 == calls.len() && calls[place] == "take" { 404 } else { 204 };
            assert_eq!(again.status.as_u16(), expected, "{name}: {}", again.body);
            assert_nothing_left(&world, name, &shared);
        }
        assert!(places > 10, "{places}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_fails_twice_is_taken_up_a_third_time() {
    for first in 0..16 {
        for second in 0..16 {
            let (world, shared, _) = two_certificates().await;
            for place in [first, second] {
                world.faults.fail_nth(place, Trouble::Failing(Failing::Unavailable));
                world.delete("/things/sensor-1").await;
            }
            world.faults.clear();
            let last = world.delete("/things/sensor-1").await.status;
            assert!([StatusCode::NO_CONTENT, StatusCode::NOT_FOUND].contains(&last), "{first} {second}: {last}");
            assert_nothing_left(&world, &format!("{first} {second}"), &shared);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_came_to_the_thing_after_a_failure_goes_too() {
    let (world, shared, _) = two_certificates().await;
    world.faults.fail("delete_certificate", Trouble::Failing(Failing::Unavailable));
    assert_eq!(world.delete("/things/sensor-1").await.status, StatusCode::SERVICE_UNAVAILABLE);
    world.faults.clear();
    let id = world.iot.state().add(&foreign_certificate().to_pem(), "ACTIVE").unwrap();
    world.iot.state().things.get_mut("sensor-1").unwrap().certificates.insert(arn("cert", &id));
    assert_eq!(world.delete("/things/sensor-1").await.status, StatusCode::NO_CONTENT);
    assert_nothing_left(&world, "late", &shared);
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_still_seems_attached_is_not_forgotten() {
    let (world, shared, own) = two_certificates().await;
    world.iot.state().lags = true;
    let answer = world.delete("/things/sensor-1").await;
    assert_eq!(answer.status, StatusCode::CONFLICT, "{}", answer.body);
    assert_eq!(world.iot.state().certificates[&own].status, "INACTIVE");
    world.iot.settle();
    assert_eq!(world.delete("/things/sensor-1").await.status, StatusCode::NO_CONTENT);
    assert_nothing_left(&world, "settled", &shared);
}

#[tokio::test(start_paused = true)]
async fn two_that_delete_one_thing_leave_nothing() {
    for slow in
        ["row", "certificates_of", "spend", "detach_thing", "set_status", "delete_certificate", "delete_thing", "take"]
    {
        let (world, shared, _) = two_certificates().await;
        world.faults.fail(slow, Trouble::Failing(Failing::Slow(Duration::from_millis(10))));
        let (one, other) = tokio::join!(world.delete("/things/sensor-1"), world.delete("/things/sensor-1"));
        let statuses = [one.status, other.status];
        let known = [StatusCode::NO_CONTENT, StatusCode::CONFLICT, StatusCode::NOT_FOUND];
        assert!(statuses.iter().all(|status| known.contains(status)), "{slow}: {statuses:?}");
        assert!(statuses.contains(&StatusCode::NO_CONTENT), "{slow}: {statuses:?}");
        assert_nothing_left(&world, slow, &shared);
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_of_an_earlier_deletion_touches_nothing_that_is_used_again() {
    let (world, shared, own) = two_certificates().await;
    let record = vec![("certificates", arn("cert", &shared)), ("policies", "devices".to_owned())];
    let row = Row { key: "deletion#gone".into(), ttl: None, record };
    world.ledger.spend(row).await.unwrap();
    assert_eq!(world.delete("/things/gone").await.status, StatusCode::NO_CONTENT);
    let state = world.iot.state();
    assert!([&shared, &own].iter().all(|id| state.certificates[*id].status == "ACTIVE"));
    assert!(state.policies.contains_key("devices"));
}
