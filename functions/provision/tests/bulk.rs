//! Many things at once: a task of AWS IoT, from its start to its reports.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod world;

use axum::{
    body::Body,
    http::{Method, Request, StatusCode, header},
};
use ports::memory::Failing;
use serde_json::{Value, json};
use world::{CDF, NOW, Trouble, World, templates};

fn things(count: usize) -> Value {
    let parameters: Vec<Value> = (0..count).map(|number| json!({ "ThingName": format!("sensor-{number}") })).collect();
    json!({ "provisioningTemplateId": "bare", "parameters": parameters })
}

async fn started() -> World {
    let world = World::new();
    let answer = world.post("/bulkthings", &things(2)).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
    world
}

#[tokio::test]
async fn a_task_starts_over_an_object_of_a_line_for_each_thing() {
    let world = World::new();
    let answer = world.post("/bulkthings", &things(2)).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
    assert_eq!(answer.json(), json!({ "taskId": "task-1" }));
    let state = world.iot.state();
    let [[template, bucket, key, role]] = state.started.as_slice() else { panic!("one task") };
    assert_eq!(serde_json::from_str::<Value>(template).unwrap(), templates::bare());
    assert_eq!([bucket.as_str(), role.as_str()], ["bucket", "arn:aws:iam::123456789012:role/bulk"]);
    let name = key.strip_prefix("bulk/bare/").unwrap();
    assert_eq!(
        String::from_utf8(world.objects.peek(key).unwrap()).unwrap(),
        "{\"ThingName\":\"sensor-0\"}\n{\"ThingName\":\"sensor-1\"}\n"
    );
    let rows = world.ledger.rows();
    let [row] = rows.as_slice() else { panic!("one row") };
    assert_eq!((&row.key, row.ttl), (&format!("bulk#{name}"), Some(NOW + 400 * 86_400)));
    let recorded = |name: &str| row.record.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
    assert_eq!(
        ["input", "things", "policies", "subject", "session", "request_id"].map(recorded),
        [
            Some(key.as_str()),
            Some("2"),
            Some("ops.cedar#0"),
            Some("network:line1"),
            Some("session-1"),
            Some("request-1")
        ]
    );
    assert_eq!(world.changes(), ["spend", "start_task"]);
    let event = world.log.event();
    assert_eq!([&event["action"], &event["outcome"], &event["wants"]], ["device:bulk", "granted", "bare"]);
    assert_eq!(event["detail"], format!("2 things, {key}, task task-1"));
}

#[tokio::test]
async fn policies_that_are_added_go_with_the_template() {
    let world = World::new();
    let mut template = templates::plain();
    template["CDF"] = json!({ "attachAdditionalPolicies": [{ "name": "other" }], "clientIdMustMatchThingName": true });
    world.template("plain", &template);
    let body = json!({ "provisioningTemplateId": "plain", "parameters": [{ "ThingName": "a", "CertificateId": "b" }] });
    assert_eq!(world.post("/bulkthings", &body).await.status, StatusCode::CREATED);
    let template: Value = serde_json::from_str(&world.iot.state().started[0][0]).unwrap();
    assert_eq!(template["Resources"].as_object().unwrap().len(), 5);
    assert_eq!(template.get("CDF"), None);
}

#[tokio::test]
async fn a_group_finds_the_template_of_a_task_too() {
    let world = World::new();
    world.group("plant", &[]);
    world.objects.put("templates/assignments.json", r#"{"plant":"bare"}"#);
    let answer =
        world.post("/bulkthings", &json!({ "groupPath": "/plant", "parameters": [{ "ThingName": "a" }] })).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    assert!(world.iot.state().started[0][2].starts_with("bulk/bare/"));
}

#[tokio::test]
async fn as_many_as_are_allowed_and_no_more() {
    let world = World::new();
    let row = || json!({ "ThingName": "a" });
    let all = |count: usize| json!({ "provisioningTemplateId": "bare", "parameters": vec![row(); count] });
    for (count, status) in [(0, 400), (10_001, 400), (10_000, 201)] {
        assert_eq!(world.post("/bulkthings", &all(count)).await.status.as_u16(), status, "{count}");
    }
}

#[tokio::test]
async fn requests_that_are_not_accepted_start_nothing() {
    let world = World::new();
    let with = |parameters: Value| json!({ "provisioningTemplateId": "bare", "parameters": parameters });
    let mut rows: Vec<(String, Value, &str)> = ["own", "own_by_id", "aws", "given", "private", "private_alone"]
        .map(|id| {
            let body = json!({ "provisioningTemplateId": id, "parameters": [{ "ThingName": "a" }] });
            (id.to_owned(), body, "bulk_certificates")
        })
        .into();
    for (name, body, reason) in [
        ("no_parameters", json!({ "provisioningTemplateId": "bare" }), "malformed"),
        ("none", with(json!([])), "malformed"),
        ("parameters_of_another_type", with(json!({ "ThingName": "a" })), "malformed"),
        ("row_of_another_type", with(json!(["a"])), "malformed"),
        ("value_of_another_type", with(json!([{ "ThingName": 1 }])), "malformed"),
        ("long_value", with(json!([{ "ThingName": "a".repeat(4_097) }])), "malformed"),
        (
            "needs_of_an_option",
            json!({ "provisioningTemplateId": "bare", "parameters": [{}], "cdfProvisioningParameters": {} }),
            "malformed",
        ),
        ("unknown_template", json!({ "provisioningTemplateId": "absent", "parameters": [{}] }), "unknown_template"),
        ("neither_id_nor_group", json!({ "parameters": [{}] }), "malformed"),
        (
            "both_id_and_group",
            json!({ "provisioningTemplateId": "bare", "groupPath": "/a", "parameters": [{}] }),
            "malformed",
        ),
    ] {
        rows.push((name.to_owned(), body, reason));
    }
    for (name, body, reason) in rows {
        let answer = world.post("/bulkthings", &body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{name}: {}", answer.body);
        assert_eq!(world.log.audited(), ["device:bulk", "refused", reason], "{name}: {}", answer.body);
    }
    let request = Request::builder().method(Method::POST).uri("/bulkthings").header(header::CONTENT_TYPE, CDF);
    let answer = world.send(request.body(Body::from(" ".repeat(4 * 1024 * 1024 + 1))).unwrap()).await;
    assert_eq!((answer.status, world.log.audited()[2].as_str()), (StatusCode::BAD_REQUEST, "oversized"));
    assert_eq!(world.changes(), [] as [&str; 0]);
    assert!(!world.objects.keys().iter().any(|key| key.starts_with("bulk/")));
}

#[tokio::test]
async fn policy_knows_how_many() {
    let world = World::new();
    world.allow(
        r#"permit (principal, action == Action::"device:provision", resource == Template::"bare")
           when { context.things <= 2 && !(context has thing) };"#,
    );
    assert_eq!(world.post("/bulkthings", &things(3)).await.status, StatusCode::FORBIDDEN);
    assert_eq!(world.log.audited(), ["device:bulk", "denied", "policy"]);
    assert_eq!(world.changes(), [] as [&str; 0]);
    assert_eq!(world.post("/bulkthings", &things(2)).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn one_task_runs_at_a_time() {
    let world = started().await;
    let answer = world.post("/bulkthings", &things(1)).await;
    assert_eq!(answer.status, StatusCode::CONFLICT, "{}", answer.body);
    assert_eq!(world.log.audited(), ["device:bulk", "refused", "conflict"]);
}

#[tokio::test]
async fn each_call_behind_a_start_may_fail() {
    let throttled = (Trouble::Failing(Failing::Throttled), 429);
    let unavailable = (Trouble::Failing(Failing::Unavailable), 503);
    let forbidden = (Trouble::Failing(Failing::Forbidden), 503);
    for (call, trouble, status) in [
        ("spend", throttled.0, throttled.1),
        ("spend", unavailable.0, unavailable.1),
        ("start_task", throttled.0, throttled.1),
        ("start_task", unavailable.0, unavailable.1),
        ("start_task", forbidden.0, forbidden.1),
        ("start_task", Trouble::Lost, 503),
        ("start_task", Trouble::Invalid, 400),
    ] {
        let world = World::new();
        world.faults.fail(call, trouble);
        let answer = world.post("/bulkthings", &things(1)).await;
        assert_eq!(answer.status.as_u16(), status, "{call} {trouble:?}");
        assert!(answer.json()["error"].is_string());
        assert_eq!(answer.header("retry-after"), (status != 400).then_some("1"), "{call} {trouble:?}");
        assert!(call != "spend" || !world.faults.called("start_task"), "no row, no task");
    }
}

#[tokio::test]
async fn a_task_tells_how_far_it_is() {
    let world = started().await;
    let expected = |status: &str, results: Value, errors: Value| {
        json!({
            "taskId": "task-1",
            "status": status,
            "creationDate": "2027-01-15T08:00:00Z",
            "lastModifiedDate": "2027-01-15T08:01:00Z",
            "successCount": 1,
            "failureCount": 0,
            "percentageProgress": 50,
            "resultsReports": results,
            "errorsReports": errors,
        })
    };
    let answer = world.get("/bulkthings/task-1").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert_eq!(answer.json(), expected("InProgress", json!([]), json!([])));
    for status in ["InProgress", "Completed", "Failed", "Cancelling", "Cancelled"] {
        {
            let mut state = world.iot.state();
            status.clone_into(&mut state.tasks.get_mut("task-1").unwrap().status);
            state.results = vec!["https://example.com/r1".into(), "https://example.com/r2".into()];
            state.errors = vec!["https://example.com/e".into()];
        }
        let answer = world.get("/bulkthings/task-1").await;
        let [results, errors] =
            [json!(["https://example.com/r1", "https://example.com/r2"]), json!(["https://example.com/e"])];
        assert_eq!(answer.json(), expected(status, results, errors));
    }
    assert_eq!(world.log.audited(), ["device:read", "granted", ""]);
    assert!(!world.log.text().contains("example.com/r1"), "who has the link has the report");
    for call in ["results", "errors"] {
        world.faults.fail(call, Trouble::Missing);
    }
    assert_eq!(world.get("/bulkthings/task-1").await.json(), expected("Cancelled", json!([]), json!([])));
}

#[tokio::test]
async fn tasks_that_were_not_started_here_are_none() {
    let world = started().await;
    for (bucket, key) in [
        ("other", "bulk/bare/a.jsonl"),
        ("bucket", "bulk/a.jsonl"),
        ("bucket", "other/bare/a.jsonl"),
        ("bucket", "bulk/../a.jsonl"),
        ("bucket", ""),
    ] {
        {
            let mut state = world.iot.state();
            let task = state.tasks.get_mut("task-1").unwrap();
            (task.bucket, task.key) = (bucket.into(), key.into());
        }
        let answer = world.get("/bulkthings/task-1").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{bucket} {key}");
        assert_eq!(answer.json(), json!({ "error": "there is no such task" }));
    }
    assert_eq!(world.get("/bulkthings/task-7").await.status, StatusCode::NOT_FOUND);
    assert_eq!(world.get("/bulkthings/%FF").await.status, StatusCode::NOT_FOUND);
    world.faults.fail("task", Trouble::Invalid);
    assert_eq!(world.get("/bulkthings/a,b").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_task_is_read_by_whom_policy_lets_read_its_template() {
    let world = started().await;
    for (template, status) in [("bare", StatusCode::OK), ("own", StatusCode::FORBIDDEN)] {
        world.allow(&format!(
            r#"permit (principal, action == Action::"device:read", resource == Template::"{template}");"#
        ));
        world.clock.advance(std::time::Duration::from_secs(3_600));
        assert_eq!(world.get("/bulkthings/task-1").await.status, status, "{template}");
    }
}

#[tokio::test]
async fn each_call_behind_a_task_may_fail() {
    for call in ["task", "results", "errors"] {
        for (trouble, status) in [
            (Trouble::Failing(Failing::Throttled), StatusCode::TOO_MANY_REQUESTS),
            (Trouble::Failing(Failing::Unavailable), StatusCode::SERVICE_UNAVAILABLE),
        ] {
            let world = started().await;
            world.faults.fail(call, trouble);
            let answer = world.get("/bulkthings/task-1").await;
            assert_eq!((answer.status, answer.header("retry-after")), (status, Some("1")), "{call} {trouble:?}");
        }
    }
}
