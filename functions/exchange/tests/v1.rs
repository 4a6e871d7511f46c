//! The v1 wire through the handlers: what is granted, the one refusal, and what happens around a rotation.
#![allow(clippy::unwrap_used, clippy::panic)]

mod fixture;

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use axum::http::{Method, StatusCode};
use fixture::{
    KEY_SECRET, VALUE, World,
    v1::{INTERVALS, V1Client, body, padded, parts},
};
use ports::memory::Failing;
use protocol::{KeySize, Manifest, Pool, PoolEntry, SecretValue, ServerKey, SystemRandom, V1_REFUSAL};
use test_support::Answered;

async fn post(world: &World, body: impl Into<axum::body::Body>) -> Answered {
    world.send(Method::POST, "/verify", Some("application/json"), body).await
}

fn public_pem(world: &World) -> String {
    world.manifest.server_key.to_pem().unwrap()
}

#[track_caller]
fn assert_refused(world: &World, answer: &Answered, outcome: &str, reason: &str) {
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::NOT_FOUND, V1_REFUSAL), "{reason}");
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.headers["x-request-id"], "request-1");
    assert_eq!(answer.headers.len(), 4, "{:?}", answer.headers);
    assert_eq!(world.log.audited(), ["exchange", outcome, reason]);
}

#[tokio::test]
async fn a_secret_is_released_on_both_routes_for_the_caller_alone() {
    let world = World::with_v1();
    let pem = public_pem(&world);
    let mut client = V1Client::new(&pem, world.pool.expose());
    for route in ["/verify", "/Stage/verify"] {
        let message = client.message("app/db");
        let answer = world.send(Method::POST, route, None, client.body(&message)).await;
        assert_eq!(answer.status, StatusCode::CREATED);
        assert_eq!(client.open(&answer.body), VALUE.as_bytes());
        assert_eq!(world.log.audited(), ["exchange", "granted", ""]);
    }
    let message = client.message("app/key");
    let answer = post(&world, client.body(&message)).await;
    assert_eq!(client.open(&answer.body), [0, 159, 146, 150]);
}

#[tokio::test]
async fn the_row_in_the_ledger_stays() {
    let world = World::with_v1();
    let pem = public_pem(&world);
    let mut client = V1Client::new(&pem, world.pool.expose());
    let message = client.message("app/db");
    assert_eq!(post(&world, client.body(&message)).await.status, StatusCode::CREATED);
    let [row] = &world.adapters.ledger.rows()[..] else { panic!("one row") };
    assert_eq!(row.ttl, None, "a request that never expires could be sent again");
    let record = |name: &str| row.record.iter().find(|(key, _)| *key == name).unwrap().1.as_str();
    assert_eq!((record("wire"), record("wants"), record("group")), ("v1", "secret:app/db", "web"));
    assert!(!format!("{row:?}").contains(VALUE));
}

#[tokio::test]
async fn whatever_is_wrong_gets_the_one_refusal() {
    let world = World::with_v1();
    let pem = public_pem(&world);
    let other_pem = ServerKey::from_pem(ServerKey::generate(KeySize::Rsa2048).expose()).unwrap();
    let other_pem = other_pem.public().to_pem().unwrap();
    let mut client = V1Client::new(&pem, world.pool.expose());
    let mut stranger = V1Client::new(&other_pem, world.pool.expose());
    let message = client.message("app/db");
    let text = String::from_utf8(message.clone()).unwrap();
    let hash = client.hash(INTERVALS);
    // Where lines end, and what stands there, everybody knows.
    let line_ends: Vec<String> =
        (0..64).map(|line| format!("{},{},0", 2048 + 2049 * line, 2049 + 2049 * line)).collect();
    let (line_ends, their_hash) = (line_ends.join("|"), hex::encode(digest(&SHA256, &[b'\n'; 64])));
    let line_ends = text.replace(INTERVALS, &line_ends).replace(&hash, &their_hash);
    let stranger_to_the_pool = client.body(line_ends.as_bytes());
    let broken_padding = [padded(&message).as_slice(), &[17; 16]].concat();
    let whole = client.body(&message);
    let [data, payload] = parts(&whole);
    for (reason, body) in [
        ("oversized", "A".repeat(1024 * 1024)),
        ("malformed_envelope", String::new()),
        ("malformed_envelope", "[]".to_owned()),
        ("malformed_envelope", whole.replace("{\"data\"", "{\"more\": 1, \"data\"")),
        ("malformed_envelope", whole.replace("\"payload\": \"", "\"payload\": \"zz")),
        ("malformed_envelope", body(&data, &payload[..payload.len() - 1])),
        ("malformed_envelope", body(&data, &payload[..16])),
        ("undecryptable", body(&[7; 256], &payload)),
        ("undecryptable", body(&[0xff; 256], &payload)),
        ("undecryptable", body(&data[1..], &payload)),
        ("undecryptable", stranger.body(&message)),
        ("undecryptable", client.body_of_blocks(&broken_padding)),
        ("malformed_proof", client.body(b"garbage")),
        ("malformed_proof", client.body(text.replace("secretsmanager", "vault").as_bytes())),
        ("unfit_intervals", client.body(text.replace(INTERVALS, "0,0,0").as_bytes())),
        ("unfit_intervals", client.body(text.replace(INTERVALS, "0,1,0").as_bytes())),
        ("unfit_intervals", client.body(text.replace(INTERVALS, "0,100,9999999").as_bytes())),
        ("unfit_intervals", stranger_to_the_pool),
        ("bad_proof", client.body(text.replace(&hash, &"0".repeat(64)).as_bytes())),
        ("bad_proof", client.body(text.replace(INTERVALS, "4,90,0|100,40,7|0,32,12").as_bytes())),
    ] {
        assert_refused(&world, &post(&world, body).await, "refused", reason);
    }
    assert!(world.adapters.ledger.rows().is_empty(), "nothing was spent");
    let message = client.message("ops/root");
    assert_refused(&world, &post(&world, client.body(&message)).await, "denied", "policy");
    let message = client.message("app/nothing");
    assert_refused(&world, &post(&world, client.body(&message)).await, "denied", "not_found");
}

#[tokio::test]
async fn what_was_used_is_refused_however_it_is_altered() {
    let world = World::with_v1();
    let pem = public_pem(&world);
    let mut client = V1Client::new(&pem, world.pool.expose());
    let message = client.message("app/db");
    let whole = client.body(&message);
    assert_eq!(post(&world, whole.clone()).await.status, StatusCode::CREATED);
    assert_refused(&world, &post(&world, whole.clone()).await, "refused", "replayed");
    // The space after the first colon becomes a tab: the message is the same, the ciphertext another.
    let [data, mut payload] = parts(&whole);
    payload[r#"{"hashval":"#.len()] ^= b' ' ^ b'\t';
    assert_refused(&world, &post(&world, body(&data, &payload)).await, "refused", "replayed");
    assert_eq!(world.adapters.ledger.rows().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn every_refusal_waits_for_the_grid_and_no_grant_does() {
    let grid = Duration::from_secs(100);
    let world = World::with_v1_on_a_grid(grid);
    let pem = public_pem(&world);
    let mut client = V1Client::new(&pem, world.pool.expose());
    let (message, denied) = (client.message("app/db"), client.message("ops/root"));
    let granted = client.body(&message);
    let bodies = [granted.clone(), granted, client.body(b"garbage"), client.body(&denied), String::new()];
    let mut waited = Vec::new();
    for body in bodies {
        // The runtime's time stands still but for what is waited for.
        let began = tokio::time::Instant::now();
        let _ = post(&world, body).await;
        waited.push(began.elapsed() > grid / 2);
    }
    assert_eq!(waited, [false, true, true, true, true]);
}

#[tokio::test]
async fn policy_sees_the_wire() {
    let world = World::with_v1();
    let v2_only = r#"permit (principal, action, resource in Path::"app") when { context.wire == "v2" };"#;
    world.adapters.objects.put("policies/web.cedar", v2_only);
    let pem = public_pem(&world);
    let mut client = V1Client::new(&pem, world.pool.expose());
    let message = client.message("app/db");
    assert_refused(&world, &post(&world, client.body(&message)).await, "denied", "policy");
}

#[tokio::test]
async fn old_and_new_material_work_at_once_after_a_rotation() {
    let world = World::with_v1();
    let old_pem = public_pem(&world);
    let mut old = V1Client::new(&old_pem, world.pool.expose());
    let message = old.message("app/db");
    assert_eq!(post(&world, old.body(&message)).await.status, StatusCode::CREATED);

    let new_key = ServerKey::generate(KeySize::Rsa2048);
    let new_public = ServerKey::from_pem(new_key.expose()).unwrap().public().clone();
    world.adapters.secrets.put(KEY_SECRET, SecretValue::Text(new_key));
    let new_pool = Pool::generate(&SystemRandom);
    let (web, now) = ("web".parse().unwrap(), fixture::NOW);
    let entry = PoolEntry::of(&web, &new_pool);
    let manifest = world.manifest.next("countersign".into(), "url".into(), new_public.clone(), entry, now + 3600);
    world.adapters.objects.put(&manifest.pool.key, new_pool.expose());
    world.adapters.objects.put(&Manifest::key(&web), manifest.to_json());

    let new_pem = new_public.to_pem().unwrap();
    // New pool and old key are what a client holds that pulled in between.
    for (pem, pool) in [(&new_pem, &new_pool), (&old_pem, &new_pool), (&new_pem, &world.pool), (&old_pem, &world.pool)]
    {
        let mut client = V1Client::new(pem, pool.expose());
        let message = client.message("app/db");
        let answer = post(&world, client.body(&message)).await;
        assert_eq!(answer.status, StatusCode::CREATED);
        assert_eq!(client.open(&answer.body), VALUE.as_bytes());
    }
    world.adapters.clock.advance(Duration::from_secs(3600));
    assert_refused(&world, &post(&world, old.body(&message)).await, "refused", "bad_proof");
}

#[tokio::test]
async fn a_fault_of_the_broker_looks_like_a_refusal() {
    for (step, failing) in [("ledger", Failing::Unavailable), ("ledger", Failing::Throttled)] {
        let world = World::with_v1();
        let pem = public_pem(&world);
        let mut client = V1Client::new(&pem, world.pool.expose());
        world.adapters.ledger.switch.set(failing);
        let message = client.message("app/db");
        assert_refused(&world, &post(&world, client.body(&message)).await, "failed", step);
    }
    for garbage in [true, false] {
        let world = World::with_v1();
        let pem = public_pem(&world);
        let mut client = V1Client::new(&pem, world.pool.expose());
        let message = if garbage { vec![0; 99] } else { client.message("app/db") };
        world.adapters.secrets.switch.set(Failing::Unavailable);
        assert_refused(&world, &post(&world, client.body(&message)).await, "failed", "material");
    }
}

#[tokio::test]
async fn without_a_v1_group_there_is_no_such_route() {
    let world = World::new();
    let pem = public_pem(&world);
    let mut client = V1Client::new(&pem, world.pool.expose());
    let message = client.message("app/db");
    let answer = post(&world, client.body(&message)).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert!(answer.body.contains("urn:countersign:problem:not-found"));
}
