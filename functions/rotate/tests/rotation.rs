//! Rotations from nothing, one after another, ended in the middle, and side by side.
#![allow(clippy::unwrap_used, clippy::panic)]

mod fixture;

use std::sync::atomic::{AtomicUsize, Ordering};

use fixture::{KEY, NOW, World, breaking::breaking, config, manifest, run, run_as, world};
use ports::{
    Fault, ReadSecret as _, Stage, VersionSelector,
    memory::{Failing, MemorySecrets},
};
use protocol::{Manifest, Pool, Secret, SecretValue, ServerKey, SystemRandom};
use rotate::{Adapters, Config, Npm, Order, RotateError, rotate};

async fn kid(secrets: &MemorySecrets, stage: Stage) -> String {
    let selector = VersionSelector { id: None, stage: Some(stage.label()) };
    let SecretValue::Text(pem) = secrets.read(KEY, selector).await.unwrap().value else { panic!("not text") };
    ServerKey::from_pem(pem.expose()).unwrap().public().kid().to_string()
}

#[tokio::test]
async fn an_empty_deployment_gets_its_first_generation() {
    let world = world();
    let report = run(&["web", "batch"], &world).await.unwrap();
    assert!(report.new_server_key);
    assert_eq!(report.rotated.len(), 2);
    for group in ["web", "batch"] {
        let manifest = manifest(&world.objects, group);
        assert_eq!((manifest.generation, &manifest.previous), (1, &None));
        assert_eq!(manifest.url, "https://broker.example/prod");
        assert_eq!(manifest.server_key.kid().as_str(), kid(&world.secrets, Stage::Current).await);
        let pool = Pool::new(world.objects.peek(&manifest.pool.key).unwrap()).unwrap();
        assert!(manifest.pool.describes(&pool));
    }
    assert_ne!(manifest(&world.objects, "web").pool.id, manifest(&world.objects, "batch").pool.id);
}

#[tokio::test]
async fn v1_clients_find_the_pool_and_the_key_of_their_group() {
    let world = world();
    let config = Config { v1_group: Some("batch".parse().unwrap()), ..config(&["web", "batch"]) };
    for order in [Order::default(), Order::default(), Order { new_groups_only: true, ..Order::default() }] {
        world.objects.remove("public.pem");
        let report = rotate(&config, order, &world, &SystemRandom).await.unwrap();
        assert_eq!(report.v1_copies_failed, None);
        let manifest = manifest(&world.objects, "batch");
        assert_eq!(world.objects.peek("info2048.bin"), world.objects.peek(&manifest.pool.key));
        let pem = String::from_utf8(world.objects.peek("public.pem").unwrap()).unwrap();
        assert_eq!(pem, manifest.server_key.to_pem().unwrap());
        assert!(pem.starts_with("-----BEGIN PUBLIC KEY-----\n") && pem.lines().all(|line| line.len() <= 64));
    }
}

#[tokio::test]
async fn without_v1_clients_nothing_is_copied() {
    let world = world();
    run(&["web"], &world).await.unwrap();
    assert!(world.objects.keys().iter().all(|key| key.starts_with("groups/") || key == "token/jwks.json"));
}

#[tokio::test]
async fn a_rotation_publishes_what_it_committed_and_goes_through_where_it_can_not() {
    let world = world();
    let npm = Npm {
        packages: vec![("web".parse().unwrap(), "@acme/web".parse().unwrap())],
        token_secret: "npm-token".into(),
    };
    let config = Config { npm: Some(npm), ..config(&["web", "batch"]) };
    let report = rotate(&config, Order::default(), &world, &SystemRandom).await.unwrap();
    assert_eq!(report.published[0].version, None, "there is no token yet");
    assert!(report.published[0].failed.is_some() && report.rotated.len() == 2);

    world.secrets.put("npm-token", SecretValue::Text(Secret::new("token\n".into())));
    world.registry.switch.set(Failing::Unavailable);
    let report = rotate(&config, Order::default(), &world, &SystemRandom).await.unwrap();
    assert!(report.published[0].failed.is_some() && report.rotated.len() == 2);

    world.registry.switch.set(Failing::No);
    let order = Order { new_groups_only: true, ..Order::default() };
    let report = rotate(&config, order, &world, &SystemRandom).await.unwrap();
    assert!(report.rotated.is_empty());
    assert_eq!(report.published[0].version.as_deref(), Some("1"));
    let [(package, token, published)] = &world.registry.published()[..] else { panic!("one package") };
    assert_eq!((package.as_str(), token.as_str()), ("@acme/web", "token"));
    assert_eq!(*published, manifest(&world.objects, "web"));
}

#[tokio::test]
async fn no_object_holds_a_private_key() {
    let world = world();
    run(&["web"], &world).await.unwrap();
    for key in world.objects.keys() {
        let bytes = world.objects.peek(&key).unwrap();
        assert!(!bytes.windows(11).any(|window| window == b"PRIVATE KEY"), "{key}");
    }
}

#[tokio::test]
async fn the_next_generation_keeps_the_one_before_alive() {
    let world = world();
    run(&["web"], &world).await.unwrap();
    let first = manifest(&world.objects, "web");
    let report = run(&["web"], &world).await.unwrap();
    let second = manifest(&world.objects, "web");
    assert!(report.new_server_key);
    assert_eq!(second.generation, 2);
    assert_ne!(second.server_key, first.server_key);
    let previous = second.previous.clone().unwrap();
    assert_eq!((previous.id, previous.accept_until), (first.pool.id.clone(), NOW + 3600));
    assert!(world.objects.peek(&first.pool.key).is_some(), "the old pool is still there");
    assert_eq!(kid(&world.secrets, Stage::Previous).await, first.server_key.kid().as_str());
    assert_eq!(kid(&world.secrets, Stage::Current).await, second.server_key.kid().as_str());
}

#[tokio::test]
async fn a_pool_is_deleted_once_no_manifest_names_it() {
    let world = world();
    let mut pools = Vec::new();
    for _ in 0..4 {
        let report = run(&["web"], &world).await.unwrap();
        pools.push(manifest(&world.objects, "web").pool);
        let ended = pools.len().checked_sub(3).map(|index| &pools[index]);
        assert_eq!(report.rotated[0].deleted_pool_id, ended.map(|pool| pool.id.to_string()));
        for (age, pool) in pools.iter().rev().enumerate() {
            assert_eq!(world.objects.peek(&pool.key).is_some(), age < 2, "{age} rotations ago");
        }
    }
}

#[tokio::test]
async fn a_pool_that_cannot_be_deleted_does_not_fail_the_rotation() {
    let world = world();
    for _ in 0..2 {
        run(&["web"], &world).await.unwrap();
    }
    // The new pool and the manifest are written; the deletion fails.
    let breaking = breaking(&world, 2);
    let report = rotate(&config(&["web"]), Order::default(), &breaking, &SystemRandom).await.unwrap();
    assert_eq!(report.rotated[0].deleted_pool_id, None);
    assert_eq!(manifest(&world.objects, "web").generation, 3);
}

#[tokio::test]
async fn a_new_group_gets_the_key_in_use_and_disturbs_nobody() {
    let world = world();
    run(&["web"], &world).await.unwrap();
    let web = manifest(&world.objects, "web");
    let order = Order { new_groups_only: true, ..Order::default() };
    let report = run_as(order, &["web", "edge"], &world).await.unwrap();
    assert!(!report.new_server_key);
    assert_eq!(report.rotated.len(), 1);
    assert_eq!(manifest(&world.objects, "web"), web);
    assert_eq!(manifest(&world.objects, "edge").server_key, web.server_key);
}

#[tokio::test]
async fn a_new_group_does_not_keep_the_others_from_rotating() {
    let world = world();
    run(&["web"], &world).await.unwrap();
    let report = run(&["web", "edge"], &world).await.unwrap();
    assert!(report.new_server_key);
    assert_eq!(manifest(&world.objects, "web").generation, 2);
    assert_eq!(manifest(&world.objects, "edge").generation, 1);
}

#[tokio::test]
async fn a_schedule_that_is_delivered_twice_rotates_once() {
    let world = world();
    world.secrets.unix_seconds.store(NOW, Ordering::Relaxed);
    let scheduled = Order { unless_younger_than_seconds: 3600, ..Order::default() };
    assert!(run_as(scheduled, &["web"], &world).await.unwrap().new_server_key);
    let first = manifest(&world.objects, "web");
    let again = run_as(scheduled, &["web"], &world).await.unwrap();
    assert!(!again.new_server_key && again.rotated.is_empty());
    assert_eq!(manifest(&world.objects, "web"), first);

    world.clock.advance(std::time::Duration::from_secs(3600));
    assert!(run_as(scheduled, &["web"], &world).await.unwrap().new_server_key, "the next period");
    assert!(run(&["web"], &world).await.unwrap().new_server_key, "by hand, at any time");
}

#[tokio::test]
async fn a_crash_at_any_write_leaves_the_old_generation_whole_and_the_next_run_finishes() {
    for writes in 0..4 {
        let world = world();
        run(&["web", "batch"], &world).await.unwrap();
        let before = ["web", "batch"].map(|group| manifest(&world.objects, group));

        let config = config(&["web", "batch"]);
        let crashed = rotate(&config, Order::default(), &breaking(&world, writes), &SystemRandom).await;
        assert!(matches!(crashed, Err(RotateError::Fault { .. })), "after {writes} writes");
        for before in &before {
            let now = manifest(&world.objects, before.group.as_str());
            let pool = Pool::new(world.objects.peek(&now.pool.key).unwrap()).unwrap();
            assert!(now.pool.describes(&pool) && now.accepts(&before.pool.id, NOW), "after {writes} writes");
        }
        assert_eq!(kid(&world.secrets, Stage::Previous).await, before[0].server_key.kid().as_str());

        let report = run(&["web", "batch"], &world).await.unwrap();
        assert!(!report.new_server_key, "after {writes} writes");
        for before in &before {
            let now = manifest(&world.objects, before.group.as_str());
            assert_eq!(now.generation, 2, "after {writes} writes");
            assert_eq!(now.server_key.kid().as_str(), kid(&world.secrets, Stage::Current).await);
        }
        assert_eq!(kid(&world.secrets, Stage::Previous).await, before[0].server_key.kid().as_str());
    }
}

#[tokio::test]
async fn of_two_rotations_from_one_state_one_gives_way() {
    let world = world();
    run(&["web"], &world).await.unwrap();
    // The second one reads its state before the first one writes the key.
    world.secrets.switch.set(Failing::Slow(std::time::Duration::from_millis(20)));
    let groups = ["web"];
    let (one, other) = tokio::join!(run(&groups, &world), run(&groups, &world));
    let interleaved = [&one, &other].into_iter().filter(|run| matches!(run, Err(RotateError::Interleaved))).count();
    assert_eq!(interleaved, 1, "{one:?} {other:?}");
    world.secrets.switch.set(Failing::No);
    let now = manifest(&world.objects, "web");
    assert_eq!(now.generation, 2);
    assert_eq!(now.server_key.kid().as_str(), kid(&world.secrets, Stage::Current).await);
}

/// Secrets before whose given read another rotation runs from beginning to end.
struct Overtaken {
    world: World,
    reads_before: AtomicUsize,
}

impl ports::ReadSecret for Overtaken {
    async fn read(&self, name: &str, version: VersionSelector<'_>) -> Result<ports::SecretVersion, Fault> {
        if self.reads_before.fetch_sub(1, Ordering::Relaxed) == 0 {
            run(&["web"], &self.world).await.unwrap();
        }
        self.world.secrets.read(name, version).await
    }
}

impl ports::AppendSecret for Overtaken {
    async fn append(&self, name: &str, value: &Secret<String>, token: &str) -> Result<(), Fault> {
        self.world.secrets.append(name, value, token).await
    }
}

#[tokio::test]
async fn a_rotation_that_is_overtaken_between_two_reads_ends_no_key_in_use() {
    for reads in 0..2 {
        let world = world();
        for _ in 0..2 {
            run(&["web"], &world).await.unwrap();
        }
        let in_use = manifest(&world.objects, "web").server_key.kid().to_string();
        let overtaken = Adapters {
            objects: world.objects.clone(),
            secrets: Overtaken { world: world.clone(), reads_before: reads.into() },
            parameters: world.parameters.clone(),
            registry: world.registry.clone(),
            clock: world.clock.clone(),
        };
        let ended = rotate(&config(&["web"]), Order::default(), &overtaken, &SystemRandom).await;
        assert!(matches!(ended, Err(RotateError::Interleaved)), "before read {reads}: {ended:?}");
        assert_eq!(kid(&world.secrets, Stage::Previous).await, in_use, "before read {reads}");
        let now = manifest(&world.objects, "web");
        assert_eq!(kid(&world.secrets, Stage::Current).await, now.server_key.kid().as_str(), "before read {reads}");
    }
}

#[tokio::test]
async fn a_manifest_whose_previous_pool_is_its_current_one_loses_neither() {
    let world = world();
    run(&["web"], &world).await.unwrap();
    let first = manifest(&world.objects, "web");
    let mut json: serde_json::Value = serde_json::from_slice(&first.to_json()).unwrap();
    json["previous"] = serde_json::json!({ "id": first.pool.id, "accept_until": NOW + 60 });
    world.objects.put(&Manifest::key(&first.group), serde_json::to_vec(&json).unwrap());
    assert_eq!(run(&["web"], &world).await.unwrap().rotated[0].deleted_pool_id, None);
    assert!(world.objects.peek(&first.pool.key).is_some());
}

#[tokio::test]
async fn what_cannot_be_read_is_not_replaced() {
    let world = world();
    run(&["web"], &world).await.unwrap();
    let key = Manifest::key(&"web".parse().unwrap());
    world.objects.put(&key, "{}");
    assert!(matches!(run(&["web"], &world).await, Err(RotateError::Fault { .. })));
    assert_eq!(world.objects.peek(&key).unwrap(), b"{}");

    let world = self::world();
    world.secrets.put(KEY, SecretValue::Text(Secret::new("not a key".into())));
    assert!(matches!(run(&["web"], &world).await, Err(RotateError::InvalidKey)));
}
