//! The rotation of the key that signs access tokens.
#![allow(clippy::unwrap_used, clippy::panic)]

mod fixture;

use std::time::Duration;

use access_token::{KeySet, SigningKey};
use fixture::{TOKEN_KEY, World, run, run_as, world};
use issuer::{PUBLISHED_BEFORE_SIGNING, PublishedKeys};
use ports::{Clock as _, MAX_STALE, ReadSecret as _, Stage, VersionSelector, memory::Failing};
use protocol::{Secret, SecretValue};
use rotate::{Order, RotateError};

const DAY: Duration = Duration::from_hours(24);

fn published(world: &World) -> PublishedKeys {
    PublishedKeys::from_json(&world.objects.peek(PublishedKeys::OBJECT).unwrap()).unwrap()
}

fn live(world: &World) -> Vec<String> {
    let live: KeySet = published(world).live(world.clock.unix_seconds());
    live.keys().iter().map(|key| key.kid().to_string()).collect()
}

fn signing(world: &World) -> String {
    published(world).signing(world.clock.unix_seconds()).unwrap().to_string()
}

/// The private key of this label, by its public id.
async fn private(world: &World, stage: Stage) -> String {
    let selector = VersionSelector { id: None, stage: Some(stage.label()) };
    let SecretValue::Text(pem) = world.secrets.read(TOKEN_KEY, selector).await.unwrap().value else {
        panic!("no text")
    };
    SigningKey::from_pem(pem.expose()).unwrap().public().kid().to_string()
}

#[tokio::test]
async fn the_first_key_signs_at_once_and_later_ones_once_they_are_known() {
    let world = world();
    let first = run(&["web"], &world).await.unwrap();
    assert!(first.new_token_key);
    assert_eq!((live(&world), signing(&world)), (vec![first.token_kid.clone()], first.token_kid.clone()));
    let second = run(&["web"], &world).await.unwrap();
    assert!(second.new_token_key);
    assert_eq!(live(&world), [second.token_kid.clone(), first.token_kid.clone()]);
    assert_eq!(signing(&world), first.token_kid);
    world.clock.advance(Duration::from_secs(PUBLISHED_BEFORE_SIGNING));
    assert_eq!(signing(&world), second.token_kid);
    // Both halves are there, whichever signs.
    assert_eq!(private(&world, Stage::Current).await, second.token_kid);
    assert_eq!(private(&world, Stage::Previous).await, first.token_kid);
}

#[tokio::test]
async fn no_further_key_is_made_while_tokens_of_a_replaced_one_live() {
    let world = world();
    let first = run(&["web"], &world).await.unwrap();
    let second = run(&["web"], &world).await.unwrap();
    for hours in [0, 12, 12] {
        world.clock.advance(Duration::from_hours(hours));
        let report = run(&["web"], &world).await.unwrap();
        assert!(report.new_server_key && !report.new_token_key);
        assert_eq!(report.token_kid, second.token_kid);
        assert_eq!(live(&world), [second.token_kid.clone(), first.token_kid.clone()]);
    }
    world.clock.advance(MAX_STALE + Duration::from_secs(PUBLISHED_BEFORE_SIGNING));
    assert_eq!(live(&world), vec![second.token_kid.clone()], "its last token has ended");
    let third = run(&["web"], &world).await.unwrap();
    assert!(third.new_token_key);
    assert_eq!(live(&world), [third.token_kid, second.token_kid]);
}

#[tokio::test]
async fn an_order_can_end_every_token() {
    let world = world();
    run(&["web"], &world).await.unwrap();
    run(&["web"], &world).await.unwrap();
    let report = run_as(Order { end_tokens: true, ..Order::default() }, &["web"], &world).await.unwrap();
    assert!(report.new_token_key);
    assert_eq!((live(&world), signing(&world)), (vec![report.token_kid.clone()], report.token_kid));
}

#[tokio::test]
async fn the_schedules_and_new_groups_orders_make_no_key_but_the_first() {
    let world = world();
    let only_new = Order { new_groups_only: true, ..Order::default() };
    let first = run_as(only_new, &["web"], &world).await.unwrap();
    assert!(first.new_token_key, "a deployment that had no tokens yet");
    world.secrets.unix_seconds.store(world.clock.unix_seconds(), std::sync::atomic::Ordering::Relaxed);
    let young = Order { unless_younger_than_seconds: 3600, ..Order::default() };
    run_as(Order::default(), &["web"], &world).await.unwrap();
    world.clock.advance(2 * DAY);
    world.secrets.unix_seconds.store(world.clock.unix_seconds(), std::sync::atomic::Ordering::Relaxed);
    let latest = run_as(young, &["web"], &world).await.unwrap();
    assert!(latest.new_token_key);
    world.clock.advance(Duration::from_mins(10));
    for order in [only_new, young] {
        let report = run_as(order, &["web"], &world).await.unwrap();
        assert_eq!((report.new_token_key, report.token_kid), (false, latest.token_kid.clone()));
    }
}

#[tokio::test]
async fn a_key_that_was_stored_and_not_published_is_published_by_the_next_run() {
    let world = world();
    let first = run(&["web"], &world).await.unwrap();
    let before = world.objects.peek(PublishedKeys::OBJECT).unwrap();
    let second = run(&["web"], &world).await.unwrap();
    for order in [Order::default(), Order { new_groups_only: true, ..Order::default() }] {
        world.objects.put(PublishedKeys::OBJECT, before.clone());
        let report = run_as(order, &["web"], &world).await.unwrap();
        assert_eq!((report.new_token_key, &report.token_kid), (false, &second.token_kid));
        assert_eq!(live(&world), [second.token_kid.clone(), first.token_kid.clone()]);
    }
    // In an emergency it is replaced: who read the secret has it.
    world.objects.put(PublishedKeys::OBJECT, before);
    let report = run_as(Order { end_tokens: true, ..Order::default() }, &["web"], &world).await.unwrap();
    assert!(report.new_token_key && report.token_kid != second.token_kid);
    assert_eq!(live(&world), [report.token_kid]);
}

#[tokio::test]
async fn of_two_rotations_side_by_side_one_gives_way() {
    let world = world();
    run(&["web"], &world).await.unwrap();
    world.secrets.switch.set(Failing::Slow(Duration::from_millis(20)));
    let (one, other) = tokio::join!(run(&["web"], &world), run(&["web"], &world));
    let interleaved = [&one, &other].into_iter().filter(|run| matches!(run, Err(RotateError::Interleaved))).count();
    assert_eq!(interleaved, 1, "{one:?} {other:?}");
    world.secrets.switch.set(Failing::No);
    run(&["web"], &world).await.unwrap();
    assert_eq!(live(&world).len(), 2);
    assert_eq!(live(&world)[0], private(&world, Stage::Current).await);
    assert_eq!(live(&world)[1], private(&world, Stage::Previous).await);
}

#[tokio::test]
async fn what_is_damaged_ends_the_rotation_and_is_not_written_over() {
    let world = world();
    run(&["web"], &world).await.unwrap();
    let good = world.objects.peek(PublishedKeys::OBJECT).unwrap();
    world.objects.put(PublishedKeys::OBJECT, "{}");
    let ended = run(&["web"], &world).await;
    assert!(matches!(ended, Err(RotateError::Fault { step: "read the published token keys", .. })), "{ended:?}");
    assert_eq!(world.objects.peek(PublishedKeys::OBJECT).unwrap(), b"{}");
    world.objects.put(PublishedKeys::OBJECT, good);
    world.secrets.put(TOKEN_KEY, SecretValue::Text(Secret::new("not a key".into())));
    assert!(matches!(run(&["web"], &world).await, Err(RotateError::InvalidTokenKey)));
}
