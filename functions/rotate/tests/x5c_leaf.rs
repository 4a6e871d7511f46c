//! The rotation of the certificate that signs one-time tokens of a step-ca.
#![allow(clippy::unwrap_used, clippy::panic)]

mod fixture;

use std::{sync::atomic::Ordering, time::Duration};

use fixture::{NOW, World, config, world};
use pki::{KeyKind, is_chain};
use ports::{AppendSecret, Fault, ReadSecret, SecretVersion, Stage, VersionSelector, memory::MemorySecrets};
use protocol::{Secret, SecretValue, SystemRandom};
use rotate::{Adapters, Config, Order, Report, rotate};
use step::{
    X5cKey,
    x5c::{Authority, new_authority},
};

const LEAF: &str = "countersign/step-ca/x5c";
const ISSUER: &str = "countersign/step-ca/x5c-intermediate";
const LEAF_LIFE: u64 = 90 * 86_400;

async fn run(world: &World) -> Report {
    run_as(Order::default(), world).await
}

async fn run_as(order: Order, world: &World) -> Report {
    rotate(&config_of_step(), order, world, &SystemRandom).await.unwrap()
}

fn config_of_step() -> Config {
    Config { step_secrets: Some("countersign/step-ca".into()), ..config(&["web"]) }
}

fn store(world: &World, name: &str, value: &Secret<String>) {
    world.secrets.put(name, SecretValue::Text(value.clone()));
}

/// As an operator leaves it: an intermediate, and a first leaf.
fn with_issuer(world: &World) -> (Authority, X5cKey) {
    let authority = new_authority(KeyKind::EcdsaP256, NOW, &SystemRandom).unwrap();
    let key = authority.issuer.new_leaf(NOW, &SystemRandom).unwrap();
    store(world, ISSUER, &authority.issuer.to_json());
    store(world, LEAF, &key.to_json());
    (authority, key)
}

async fn key(world: &World, stage: Stage) -> X5cKey {
    let selector = VersionSelector { id: None, stage: Some(stage.label()) };
    let SecretValue::Text(json) = world.secrets.read(LEAF, selector).await.unwrap().value else { panic!("no text") };
    X5cKey::from_json(json.expose()).unwrap()
}

#[tokio::test]
async fn a_new_leaf_is_made_below_the_same_root() {
    let world = world();
    let (authority, first) = with_issuer(&world);
    world.clock.advance(Duration::from_hours(24 * 30));
    let report = run(&world).await;
    let current = key(&world, Stage::Current).await;
    assert!(is_chain(&[current.leaf().clone(), current.intermediate().clone(), authority.root]));
    assert_ne!(current.leaf().public_key(), first.leaf().public_key());
    assert_eq!(key(&world, Stage::Previous).await.leaf(), first.leaf());
    let leaf = report.x5c_leaf.clone().unwrap();
    assert_eq!((leaf.is_new, leaf.serial), (true, current.leaf().serial()));
    assert_eq!(leaf.ends_at, NOW + 30 * 86_400 + LEAF_LIFE);
    assert!(report.new_server_key && report.x5c_leaf_failed.is_none());
    let shown = serde_json::to_string(&report).unwrap();
    assert!(!shown.contains("PRIVATE") && !shown.contains("x5c_leaf_failed"), "{shown}");
}

#[tokio::test]
async fn without_an_intermediate_nothing_is_made() {
    let world = world();
    let report = run(&world).await;
    assert_eq!((report.x5c_leaf, report.x5c_leaf_failed), (None, None));
    let selector = VersionSelector { id: None, stage: None };
    assert!(world.secrets.read(LEAF, selector).await.is_err());
    // As where the deployment has no such secrets.
    with_issuer(&world);
    let report = fixture::run(&["web"], &world).await.unwrap();
    assert_eq!((report.x5c_leaf, report.x5c_leaf_failed), (None, None));
}

#[tokio::test]
async fn a_young_leaf_stays_unless_it_is_of_no_use() {
    let orders = [
        Order { unless_younger_than_seconds: 3600, ..Order::default() },
        Order { new_groups_only: true, ..Order::default() },
    ];
    for order in orders {
        let world = world();
        world.secrets.unix_seconds.store(NOW, Ordering::Relaxed);
        let (_, first) = with_issuer(&world);
        let leaf = run_as(order, &world).await.x5c_leaf.unwrap();
        assert_eq!((leaf.is_new, leaf.serial), (false, first.leaf().serial()));
        // Of the intermediate that the operator replaced.
        let (_, second) = with_issuer(&world);
        store(&world, LEAF, &first.to_json());
        let leaf = run_as(order, &world).await.x5c_leaf.unwrap();
        assert!(leaf.is_new && leaf.serial != second.leaf().serial());
        assert_eq!(key(&world, Stage::Current).await.intermediate(), second.intermediate());
        for unusable in ["{}", "key"] {
            store(&world, LEAF, &Secret::new(unusable.into()));
            assert!(run_as(order, &world).await.x5c_leaf.unwrap().is_new, "{unusable}");
        }
    }
    let world = world();
    with_issuer(&world);
    world.clock.advance(Duration::from_secs(LEAF_LIFE + 1));
    assert!(run_as(Order { new_groups_only: true, ..Order::default() }, &world).await.x5c_leaf.unwrap().is_new);
}

#[tokio::test]
async fn what_fails_is_reported_and_ends_no_rotation() {
    for (name, secret) in [("no_issuer", "{}".to_owned()), ("a_leaf", String::new())] {
        let world = world();
        let (_, leaf) = with_issuer(&world);
        let secret = if secret.is_empty() { leaf.to_json() } else { Secret::new(secret) };
        store(&world, ISSUER, &secret);
        let report = run(&world).await;
        assert!(report.x5c_leaf.is_none() && report.x5c_leaf_failed.is_some(), "{name}");
        assert_eq!(report.failures().map(|(action, _)| action).collect::<Vec<_>>(), ["rotate:x5c_leaf"], "{name}");
        assert_eq!((report.new_server_key, report.rotated.len()), (true, 1), "{name}");
        assert_eq!(key(&world, Stage::Current).await.leaf(), leaf.leaf(), "{name}");
    }
    let world = world();
    let (authority, leaf) = with_issuer(&world);
    let end = authority.issuer.certificate().not_after();
    world.clock.advance(Duration::from_secs(end - NOW + 1));
    let report = run(&world).await;
    assert!(report.x5c_leaf_failed.unwrap().ends_with("authority's certificate has ended"));
    assert_eq!(key(&world, Stage::Current).await.leaf(), leaf.leaf());
}

/// Another run stores its leaf a moment before this one.
struct Overtaken {
    secrets: MemorySecrets,
    other: Secret<String>,
}

impl ReadSecret for Overtaken {
    async fn read(&self, name: &str, version: VersionSelector<'_>) -> Result<SecretVersion, Fault> {
        self.secrets.read(name, version).await
    }
}

impl AppendSecret for Overtaken {
    async fn append(&self, name: &str, value: &Secret<String>, token: &str) -> Result<(), Fault> {
        if name == LEAF {
            self.secrets.append(name, &self.other, token).await?;
        }
        self.secrets.append(name, value, token).await
    }
}

#[tokio::test]
async fn of_two_runs_side_by_side_one_stores_its_leaf() {
    let world = world();
    let (authority, _) = with_issuer(&world);
    let other = authority.issuer.new_leaf(NOW, &SystemRandom).unwrap();
    let adapters = Adapters {
        objects: world.objects.clone(),
        secrets: Overtaken { secrets: world.secrets.clone(), other: other.to_json() },
        parameters: world.parameters.clone(),
        registry: world.registry.clone(),
        clock: world.clock.clone(),
    };
    let report = rotate(&config_of_step(), Order::default(), &adapters, &SystemRandom).await.unwrap();
    assert_eq!(report.x5c_leaf_failed.unwrap(), "another rotation is under way");
    assert_eq!(key(&world, Stage::Current).await.leaf(), other.leaf());
}
