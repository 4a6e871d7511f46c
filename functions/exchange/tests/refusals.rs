//! What is refused before the proof holds: one status, one body, whatever the reason, and nothing spent.
#![allow(clippy::unwrap_used)]

mod fixture;

use std::fs;

use axum::http::{Method, StatusCode};
use fixture::{World, enrol, secret, vectors};
use ports::memory::Failing;
use protocol::{Manifest, Pool, Request, SealedRequest, ServerKey, SystemRandom};
use test_support::Answered;

const REFUSED: &str = r#"{"type":"urn:countersign:problem:refused","title":"the request was refused","status":401}"#;

/// That the answer is the refusal, and that the audit event alone tells the reason.
#[track_caller]
fn assert_refused(world: &World, answer: &Answered, reason: &str) {
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::UNAUTHORIZED, REFUSED), "{reason}");
    assert_eq!(world.log.audited(), ["exchange", "refused", reason]);
}

#[tokio::test]
async fn every_refused_vector_gets_the_same_answer_and_leaves_no_row() {
    let world = World::new();
    let mut refused = 0;
    for entry in fs::read_dir(vectors().join("exchange")).unwrap() {
        let path = entry.unwrap().path();
        let vector: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        if vector["verdict"] == "accepted" {
            continue;
        }
        let answer = world.post(vector["request"].as_str().unwrap().to_owned()).await;
        assert_refused(&world, &answer, vector["verdict"].as_str().unwrap());
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        assert_eq!(answer.headers["x-request-id"], "request-1");
        refused += 1;
    }
    assert!(refused > 50);
    assert!(world.adapters.ledger.rows().is_empty());
}

#[tokio::test]
async fn a_request_that_is_no_jose_is_refused_alike() {
    let world = World::new();
    let (body, _) = world.request(&[secret("app/db")]);
    for content_type in [None, Some("application/json"), Some("application/jose+json"), Some("text/plain")] {
        let answer = world.send(Method::POST, "/v2/exchange", content_type, body.clone()).await;
        assert_refused(&world, &answer, "wrong_content_type");
    }
    let answer = world.post(vec![b'A'; 1024 * 1024]).await;
    assert_refused(&world, &answer, "oversized");
}

#[tokio::test]
async fn a_replay_is_refused_alike() {
    let world = World::new();
    let (body, _) = world.request(&[secret("app/db")]);
    assert_eq!(world.post(body.clone()).await.status, StatusCode::OK);
    assert_refused(&world, &world.post(body).await, "replayed");
    assert_eq!(world.adapters.ledger.rows().len(), 1);
}

#[tokio::test]
async fn an_expired_request_is_refused_alike() {
    let world = World::new();
    let (body, _) = world.request(&[secret("app/db")]);
    world.adapters.clock.advance(std::time::Duration::from_secs(90));
    assert_refused(&world, &world.post(body).await, "expired");
}

/// A request of `group`, with whatever pool, as that group's manifest would have it.
fn forged(world: &World, group: &str, pool: &Pool) -> String {
    let server_key = ServerKey::from_pem(&world.server_key_pem).unwrap();
    let manifest = enrol(&ports::memory::MemoryObjects::default(), group, pool, &server_key);
    Request::build(&manifest, pool, &[secret("app/db")], fixture::NOW, &SystemRandom).unwrap().body
}

#[tokio::test]
async fn a_pool_proves_its_own_group_alone() {
    let world = World::new();
    let batch = Pool::generate(&SystemRandom);
    let server_key = ServerKey::from_pem(&world.server_key_pem).unwrap();
    enrol(&world.adapters.objects, "batch", &batch, &server_key);
    for (name, body) in [
        ("a_foreign_pool_for_my_group", forged(&world, "web", &batch)),
        ("my_pool_for_another_group", forged(&world, "batch", &world.pool)),
        ("a_group_that_does_not_exist", forged(&world, "edge", &world.pool)),
    ] {
        let answer = world.post(body).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{name}");
        assert_refused(&world, &answer, "unknown_pool");
    }
    assert_eq!(world.post(forged(&world, "batch", &batch)).await.status, StatusCode::FORBIDDEN, "its own");
}

#[tokio::test]
async fn a_truncated_pool_in_the_bucket_is_not_used() {
    let world = World::new();
    let cut = &world.pool.expose()[..world.pool.expose().len() - 1];
    world.adapters.objects.put(&world.manifest.pool.key, cut);
    let (body, _) = world.request(&[secret("app/db")]);
    let answer = world.post(body).await;
    fixture::assert_unavailable(&world, &answer, "material");
}

#[tokio::test]
async fn a_previous_pool_that_could_not_be_read_is_asked_for_again() {
    let world = World::new();
    let next_pool = Pool::generate(&SystemRandom);
    let entry = protocol::PoolEntry::of(&world.manifest.group, &next_pool);
    let next = world.manifest.next(
        "countersign".into(),
        world.manifest.url.clone(),
        world.manifest.server_key.clone(),
        entry,
        fixture::NOW + 10_000,
    );
    world.adapters.objects.put(&next.pool.key, next_pool.expose());
    world.adapters.objects.put(&Manifest::key(&next.group), next.to_json());
    world.adapters.objects.remove(&world.manifest.pool.key);
    assert_refused(&world, &world.post(world.request(&[secret("app/db")]).0).await, "unknown_pool");

    world.adapters.objects.put(&world.manifest.pool.key, world.pool.expose());
    world.adapters.clock.advance(ports::RETRY_AFTER);
    assert_eq!(world.post(world.request(&[secret("app/db")]).0).await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_previous_pool_is_accepted_until_its_time() {
    let world = World::new();
    let next_pool = Pool::generate(&SystemRandom);
    let group = world.manifest.group.clone();
    let next = world.manifest.next(
        "countersign".into(),
        world.manifest.url.clone(),
        world.manifest.server_key.clone(),
        protocol::PoolEntry::of(&group, &next_pool),
        fixture::NOW + 100,
    );
    world.adapters.objects.put(&next.pool.key, next_pool.expose());
    world.adapters.objects.put(&Manifest::key(&group), next.to_json());

    assert_eq!(world.post(world.request(&[secret("app/db")]).0).await.status, StatusCode::OK);
    world.adapters.clock.advance(std::time::Duration::from_secs(100));
    assert_refused(&world, &world.post(world.request(&[secret("app/db")]).0).await, "unknown_pool");
    let new = Request::build(&next, &next_pool, &[secret("app/db")], fixture::NOW + 100, &SystemRandom).unwrap();
    assert_eq!(world.post(new.body).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_warm_broker_learns_of_a_new_key_and_a_new_pool_at_once() {
    let world = World::new();
    assert_eq!(world.post(world.request(&[secret("app/db")]).0).await.status, StatusCode::OK);

    let pem = ServerKey::generate(protocol::KeySize::Rsa2048);
    let server_key = ServerKey::from_pem(pem.expose()).unwrap();
    let kept = world.request(&[secret("app/db")]).0;
    world.adapters.secrets.put(fixture::KEY_SECRET, protocol::SecretValue::Text(pem.clone()));
    let pool = Pool::generate(&SystemRandom);
    let entry = protocol::PoolEntry::of(&world.manifest.group, &pool);
    world.adapters.objects.put(&entry.key, pool.expose());
    let url = world.manifest.url.clone();
    let next = world.manifest.next("countersign".into(), url, server_key.public().clone(), entry, fixture::NOW + 100);
    world.adapters.objects.put(&Manifest::key(&next.group), next.to_json());

    let new = Request::build(&next, &pool, &[secret("app/db")], fixture::NOW, &SystemRandom).unwrap();
    assert_eq!(world.post(new.body).await.status, StatusCode::OK, "the new generation");
    assert_eq!(world.post(kept).await.status, StatusCode::OK, "the old generation");
}

#[tokio::test]
async fn strangers_cannot_make_a_warm_broker_read_more_than_once_a_second() {
    let world = World::new();
    assert_eq!(world.post(world.request(&[secret("app/db")]).0).await.status, StatusCode::OK);
    let other = Pool::generate(&SystemRandom);
    assert_refused(&world, &world.post(forged(&world, "web", &other)).await, "unknown_pool");
    // Whatever is asked of the stores within the second from here on fails loudly.
    world.adapters.objects.switch.set(Failing::Unavailable);
    for _ in 0..10 {
        assert_refused(&world, &world.post(forged(&world, "web", &other)).await, "unknown_pool");
        assert_refused(&world, &world.post(forged(&world, "edge", &other)).await, "unknown_pool");
    }
    assert!(!world.log.text().contains("kept the last good value"));
    world.adapters.clock.advance(ports::RETRY_AFTER);
    assert_refused(&world, &world.post(forged(&world, "web", &other)).await, "unknown_pool");
    assert!(world.log.text().contains("kept the last good value"), "a second later it looks again");
}

#[test]
fn what_was_encrypted_for_one_key_is_not_opened_by_another() {
    let world = World::new();
    let other = ServerKey::from_pem(ServerKey::generate(protocol::KeySize::Rsa2048).expose()).unwrap();
    let sealed = SealedRequest::parse(world.request(&[secret("app/db")]).0.as_bytes()).unwrap();
    assert_eq!(sealed.open(&other).err(), Some(protocol::Refusal::UnknownKey));
}
