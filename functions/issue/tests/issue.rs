//! Operators' orders as they come, in JSON, and what is answered, recorded and logged.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::{fs, path::Path};

use access_token::{KeySet, SigningKey, TokenRefusal, verify};
use issue::{IssueError, Order, issue};
use issuer::{Config, Issuer, PublishedKeys};
use ports::memory::{Failing, FaultSwitch, ManualClock, MemoryLedger, MemoryObjects, MemorySecrets};
use protocol::{SecretValue, SystemRandom};
use serde_json::{Value, json};
use test_support::Log;

const NOW: u64 = 1_800_000_000;
const KEY_SECRET: &str = "countersign/token-key";

struct World {
    objects: MemoryObjects,
    secrets: MemorySecrets,
    ledger: MemoryLedger,
    issuer: Issuer<MemoryObjects, MemorySecrets>,
    kid: String,
    log: Log,
}

impl World {
    fn new() -> Self {
        let (objects, secrets) = (MemoryObjects::default(), MemorySecrets::default());
        let pem = SigningKey::generate();
        let public = SigningKey::from_pem(pem.expose()).unwrap().public().clone();
        let kid = public.kid().to_string();
        objects.put(PublishedKeys::OBJECT, PublishedKeys::first(public).to_json());
        secrets.put(KEY_SECRET, SecretValue::Text(pem));
        let config = Config {
            issuer: "countersign".into(),
            key_secret: KEY_SECRET.into(),
            token_seconds: 3600,
            max_token_seconds: 86_400,
            audit_days: 400,
        };
        Self {
            issuer: Issuer::new(config, objects.clone(), secrets.clone()),
            objects,
            secrets,
            ledger: MemoryLedger::default(),
            kid,
            log: Log::start(),
        }
    }

    async fn order(&self, order: &Value) -> Result<Value, IssueError> {
        let order: Order = serde_json::from_value(order.clone()).unwrap();
        let clock = ManualClock::new(NOW);
        let answer = issue(order, &self.issuer, &self.ledger, &clock, &SystemRandom, "request-1").await?;
        Ok(serde_json::to_value(answer).unwrap())
    }

    fn keys(&self) -> KeySet {
        KeySet::from_json(&self.objects.peek(PublishedKeys::OBJECT).unwrap()).unwrap()
    }

    /// The one audit event.
    fn audited(&self) -> Value {
        let [event] = &self.log.events()[..] else { panic!("not one audit event: {}", self.log.text()) };
        event.clone()
    }
}

fn read(order: &Value) -> Result<Order, serde_json::Error> {
    serde_json::from_value(order.clone())
}

#[tokio::test]
async fn an_order_is_answered_with_a_token_that_is_recorded_and_logged() {
    let world = World::new();
    let event = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events/issue/network.json");
    let answer = world.order(&serde_json::from_slice(&fs::read(event).unwrap()).unwrap()).await.unwrap();
    let token = answer["access_token"].as_str().unwrap();
    assert_eq!(answer, json!({ "access_token": token, "expires_at": NOW + 3600 }));

    let verified = verify(token, [10, 0, 255, 1].into(), &world.keys(), NOW).unwrap();
    assert_eq!(
        serde_json::to_value(verified.claims()).unwrap(),
        json!({
            "iss": "countersign",
            "sub": "network:nightly",
            "iat": NOW,
            "exp": NOW + 3600,
            "ipn": "10.0.0.0/16",
            "ses": verified.claims().session,
            "scope": "things:read",
        })
    );
    assert_eq!(verify(token, [10, 1, 0, 1].into(), &world.keys(), NOW), Err(TokenRefusal::WrongNetwork));

    let session = verified.claims().session.as_str();
    let rows = world.ledger.rows();
    let [row] = &rows[..] else { panic!("not one row: {rows:?}") };
    assert_eq!(row.key, format!("token#{session}"));
    assert_eq!(row.ttl, Some(NOW + 3600 + 400 * 86_400));
    let record: Vec<_> = row.record.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(
        record,
        [
            ("subject", "network:nightly"),
            ("network", "10.0.0.0/16"),
            ("scope", "things:read"),
            ("expires_at", "1800003600"),
            ("kid", &*world.kid),
            ("policies", "iam"),
            ("request_id", "request-1"),
            ("issued_at", "1800000000"),
        ]
    );
    assert_eq!(
        world.audited(),
        json!({
            "action": "issue",
            "outcome": "granted",
            "request_id": "request-1",
            "subject": "network:nightly",
            "session": session,
            "policies": "iam",
            "detail": r#"network 10.0.0.0/16, scope "things:read", seconds 3600"#,
        })
    );
    let signature = token.rsplit('.').next().unwrap();
    assert!(!format!("{rows:?}{}", world.log.text()).contains(signature));
}

#[tokio::test]
async fn what_is_left_out_has_a_default_and_a_network_names_itself() {
    for (network, address, subject) in [
        ("10.0.0.0/16", "10.0.0.1", "network:10.0.0.0/16"),
        ("2001:db8::/32", "2001:db8::1", "network:2001:db8::/32"),
        ("::ffff:10.0.0.0/112", "10.0.0.1", "network:10.0.0.0/16"),
        ("0.0.0.0/0", "203.0.113.9", "network:0.0.0.0/0"),
    ] {
        let world = World::new();
        let answer = world.order(&json!({ "network": network, "seconds": 86_400 })).await.unwrap();
        let token = answer["access_token"].as_str().unwrap();
        let verified = verify(token, address.parse().unwrap(), &world.keys(), NOW + 86_399).unwrap();
        assert_eq!((&*verified.claims().subject, &*verified.claims().scope.to_string()), (subject, ""));
    }
}

#[test]
fn what_is_no_order_is_refused() {
    let good = json!({ "network": "10.0.0.0/16", "seconds": 60, "scope": "a b", "name": "n" });
    assert!(read(&good).is_ok());
    let with = |name: &str, value: Value| {
        let mut order = good.clone();
        order[name] = value;
        order
    };
    let without = |name: &str| {
        let mut order = good.clone();
        order.as_object_mut().unwrap().remove(name);
        order
    };
    for (name, order) in [
        ("unknown_member", with("sub", "group:web".into())),
        ("no_network", without("network")),
        ("no_seconds", without("seconds")),
        ("host_bits", with("network", "10.0.0.1/16".into())),
        ("no_prefix", with("network", "10.0.0.0".into())),
        ("leading_zero", with("network", "010.0.0.0/8".into())),
        ("several_networks", with("network", json!(["10.0.0.0/16"]))),
        ("negative", with("seconds", json!(-1))),
        ("fraction", with("seconds", json!(1.5))),
        ("seconds_as_text", with("seconds", "60".into())),
        ("seconds_too_many_for_any_deployment", with("seconds", json!(4_294_967_296_u64))),
        ("scope_as_list", with("scope", json!(["a"]))),
        ("scope_with_two_spaces", with("scope", "a  b".into())),
        ("scope_too_long", with("scope", "a".repeat(1025).into())),
        ("scope_null", with("scope", Value::Null)),
        ("name_empty", with("name", "".into())),
        ("name_too_long", with("name", "n".repeat(65).into())),
        ("name_with_a_slash", with("name", "a/b".into())),
        ("name_with_a_colon", with("name", "a:b".into())),
        ("name_with_a_line", with("name", "a\nb".into())),
        ("name_of_other_letters", with("name", "ä".into())),
        ("nothing", json!({})),
        ("a_text", json!("10.0.0.0/16")),
    ] {
        assert!(read(&order).is_err(), "{name}");
    }
    for name in ["n", &"n".repeat(64), "alice@laptop", "A-1_b.c"] {
        assert!(read(&with("name", name.into())).is_ok(), "{name}");
    }
}

#[tokio::test]
async fn the_deployments_limit_is_told_and_not_gone_past() {
    for (seconds, most) in [(0, None), (86_401, Some(86_400)), (u32::MAX, Some(86_400))] {
        let world = World::new();
        let ended = world.order(&json!({ "network": "10.0.0.0/16", "seconds": seconds })).await;
        match (ended, most) {
            (Err(IssueError::TooShort), None) => {}
            (Err(IssueError::TooLong(told)), Some(most)) => assert_eq!(told, most),
            (ended, _) => panic!("{seconds}: {ended:?}"),
        }
        assert!(world.ledger.rows().is_empty());
        assert_eq!(
            world.audited(),
            json!({
                "action": "issue",
                "outcome": "denied",
                "reason": "seconds",
                "request_id": "request-1",
                "subject": "network:10.0.0.0/16",
                "detail": format!(r#"network 10.0.0.0/16, scope "", seconds {seconds}"#),
            })
        );
    }
}

#[tokio::test]
async fn without_keys_or_a_record_there_is_no_token() {
    type Choose = fn(&World) -> &FaultSwitch;
    let ports: [(&str, Choose); 3] = [
        ("objects", |world| &world.objects.switch),
        ("secrets", |world| &world.secrets.switch),
        ("ledger", |world| &world.ledger.switch),
    ];
    for (name, choose) in ports {
        for failing in [Failing::Unavailable, Failing::Throttled, Failing::Forbidden] {
            let world = World::new();
            choose(&world).set(failing);
            let ended = world.order(&json!({ "network": "10.0.0.0/16", "seconds": 60 })).await;
            let Err(error @ IssueError::Fault(_)) = ended else { panic!("{name}: {ended:?}") };
            assert_eq!(error.to_string(), "the token could not be issued", "{name}: the cause is for the log");
            assert_eq!((&world.audited()["outcome"], &world.audited()["reason"]), (&json!("failed"), &json!("issue")));
            assert!(world.ledger.rows().is_empty());
        }
    }
}
