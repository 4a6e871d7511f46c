//! Rotations of the token key that end in the middle, and what holds over many of them.
#![allow(clippy::unwrap_used, clippy::panic)]

mod fixture;

use std::time::Duration;

use access_token::{KeySet, Network, Scope, TokenRefusal, verify};
use fixture::{KEY, NOW, TOKEN_KEY, World, breaking::breaking, config, run, run_as, world};
use issuer::{Issuer, PUBLISHED_BEFORE_SIGNING, PublishedKeys};
use ports::{
    Clock as _,
    memory::{Failing, MemoryLedger, MemoryObjects, MemoryParameters, MemorySecrets},
};
use protocol::{Manifest, Secret, SecretValue, SystemRandom};
use rotate::{Order, RotateError, rotate};

const END: Order = Order { end_tokens: true, new_groups_only: false, unless_younger_than_seconds: 0 };

/// A run that ends before it can write any object.
async fn cut_short(order: Order, world: &World) {
    let ended = rotate(&config(&["web"]), order, &breaking(world, 0), &SystemRandom).await;
    assert!(matches!(ended, Err(RotateError::Fault { .. })), "{ended:?}");
}

fn published(world: &World) -> Option<PublishedKeys> {
    world.objects.peek(PublishedKeys::OBJECT).map(|json| PublishedKeys::from_json(&json).unwrap())
}

fn live(world: &World) -> Vec<String> {
    let live = published(world).unwrap().live(world.clock.unix_seconds());
    live.keys().iter().map(|key| key.kid().to_string()).collect()
}

/// A token of the longest life, from an issuer that has just started.
async fn token(world: &World) -> Secret<String> {
    let issuer: Issuer<MemoryObjects, MemorySecrets> = Issuer::new(
        issuer::Config {
            issuer: "countersign".into(),
            key_secret: TOKEN_KEY.into(),
            token_seconds: 86_400,
            max_token_seconds: 86_400,
            audit_days: 1,
        },
        world.objects.clone(),
        world.secrets.clone(),
    );
    let order = issuer::Order {
        subject: "group:web",
        network: Network::of([192, 0, 2, 7].into()),
        scope: Scope::default(),
        seconds: 86_400,
        policies: "",
        source_ip: None,
        request_id: "",
    };
    issuer.issue(order, &MemoryLedger::default(), &world.clock, &SystemRandom).await.unwrap().token
}

fn check(world: &World, token: &Secret<String>) -> Result<(), TokenRefusal> {
    let now = world.clock.unix_seconds();
    let keys = published(world).unwrap().live(now);
    verify(token.expose(), [192, 0, 2, 7].into(), &keys, now).map(|_| ())
}

#[tokio::test]
async fn the_first_key_that_could_not_be_published_is_published_by_the_next_run() {
    let world = world();
    cut_short(Order::default(), &world).await;
    assert_eq!(published(&world), None);
    let report = run(&["web"], &world).await.unwrap();
    assert!(!report.new_token_key);
    assert_eq!(live(&world), [report.token_kid]);
    assert_eq!(check(&world, &token(&world).await), Ok(()), "it signs at once");
}

#[tokio::test]
async fn however_often_a_run_is_cut_short_there_is_one_further_key() {
    let world = world();
    let first = run(&["web"], &world).await.unwrap().token_kid;
    for _ in 0..3 {
        cut_short(Order::default(), &world).await;
        assert_eq!(live(&world), std::slice::from_ref(&first));
        assert_eq!(check(&world, &token(&world).await), Ok(()), "the first still signs");
    }
    let report = run(&["web"], &world).await.unwrap();
    assert!(!report.new_token_key);
    assert_eq!(live(&world), [report.token_kid, first]);
}

#[tokio::test]
async fn tokens_end_once_the_order_to_end_them_is_carried_out_and_no_sooner() {
    let world = world();
    run(&["web"], &world).await.unwrap();
    let before = token(&world).await;
    cut_short(END, &world).await;
    assert_eq!(check(&world, &before), Ok(()));
    let report = run_as(END, &["web"], &world).await.unwrap();
    assert_eq!(live(&world), [report.token_kid]);
    assert_eq!(check(&world, &before), Err(TokenRefusal::UnknownKey));
    assert_eq!(check(&world, &token(&world).await), Ok(()), "the new key signs at once");
}

#[tokio::test]
async fn what_else_is_broken_does_not_keep_tokens_from_ending() {
    let mut world = world();
    run(&["web"], &world).await.unwrap();
    let before = token(&world).await;
    world.objects.put(&Manifest::key(&"web".parse().unwrap()), "garbage");
    world.parameters = MemoryParameters::default();
    world.secrets.put(KEY, SecretValue::Text(Secret::new("garbage".into())));
    assert!(run_as(END, &["web"], &world).await.is_err());
    assert_eq!(check(&world, &before), Err(TokenRefusal::UnknownKey));
    assert_eq!(check(&world, &token(&world).await), Ok(()));
}

#[tokio::test]
async fn what_gives_no_answer_is_named_and_changes_nothing() {
    let world = world();
    run(&["web"], &world).await.unwrap();
    let before = world.objects.peek(PublishedKeys::OBJECT);
    for switch in [&world.objects.switch, &world.secrets.switch] {
        for failing in [Failing::Unavailable, Failing::Throttled, Failing::Forbidden] {
            switch.set(failing);
            let ended = run(&["web"], &world).await;
            assert!(matches!(ended, Err(RotateError::Fault { .. })), "{ended:?}");
            switch.set(Failing::No);
            assert_eq!(world.objects.peek(PublishedKeys::OBJECT), before);
        }
    }
}

/// Whatever the order of runs, of those cut short, and of time that goes by: there is a key that signs, whose private half is
/// there; every token is valid until its end, and a new one also to whoever has the keys as they stood a while ago.
#[tokio::test]
async fn a_token_lives_to_its_end_through_every_history() {
    for history in
        ["rrlhbsrmls", "rlccmcrlhbschr", "rrrlhbrsrhhmrls", "clhcrhmlshmcrr", "rmclhhmcrlshhmc", "rnchnlsnrhhnr"]
    {
        let world = world();
        let mut tokens: Vec<(u64, Secret<String>)> = Vec::new();
        let mut copies: Vec<(u64, KeySet)> = Vec::new();
        for step in history.chars() {
            match step {
                'r' => drop(run(&["web"], &world).await.unwrap()),
                'n' => {
                    let order = Order { new_groups_only: true, ..Order::default() };
                    run_as(order, &["web"], &world).await.unwrap();
                }
                'c' => cut_short(Order::default(), &world).await,
                's' => world.clock.advance(Duration::from_secs(1)),
                'l' => world.clock.advance(Duration::from_secs(PUBLISHED_BEFORE_SIGNING - 1)),
                'm' => world.clock.advance(Duration::from_secs(PUBLISHED_BEFORE_SIGNING)),
                // The last second of a token's day is one that ends with this.
                'b' => world.clock.advance(Duration::from_hours(12) - Duration::from_secs(1)),
                'h' => world.clock.advance(Duration::from_hours(12)),
                _ => panic!("no such step"),
            }
            let Some(published) = published(&world) else { continue };
            let now = world.clock.unix_seconds();
            let at = || format!("{history}, {} seconds after the beginning", now - NOW);
            let new = token(&world).await;
            copies.retain(|(since, _)| now - since < PUBLISHED_BEFORE_SIGNING);
            copies.push((now, published.live(now)));
            for (_, keys) in &copies {
                assert!(verify(new.expose(), [192, 0, 2, 7].into(), keys, now).is_ok(), "{}", at());
            }
            tokens.push((now + 86_400, new));
            for (ends_at, token) in &tokens {
                let expected = if now < *ends_at { Ok(()) } else { Err(()) };
                assert_eq!(check(&world, token).map_err(|_| ()), expected, "{}", at());
            }
        }
    }
}
