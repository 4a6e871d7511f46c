//! A registrar over memory: what it signs with, what it records, and when it signs nothing.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use countersign_step::{
    Ca, IssuedOtt, JwkKey, OttOrder, Purpose, Registrar, RegistrarConfig, SerialNumber, X5cKey,
    x5c::{Issuer, new_authority},
};
use pki::KeyKind;
use ports::{
    Fault, Row, Settings,
    memory::{Failing, ManualClock, MemoryLedger, MemoryObjects, MemorySecrets},
};
use protocol::{AltName, CsrDigest, Random, Secret, SecretValue, SubjectName, SystemRandom};
use serde_json::Value;

const NOW: u64 = 1_800_000_000;
const DAY: Duration = Duration::from_secs(86_400);

struct World {
    objects: MemoryObjects,
    secrets: MemorySecrets,
    ledger: MemoryLedger,
    clock: ManualClock,
    registrar: Registrar<MemoryObjects, MemorySecrets>,
}

impl World {
    fn new() -> Self {
        let (objects, secrets) = (MemoryObjects::default(), MemorySecrets::default());
        let config = RegistrarConfig { secrets: "stack/step-ca".into(), audit_days: 30 };
        let registrar = Registrar::new(config, objects.clone(), secrets.clone());
        Self { objects, secrets, ledger: MemoryLedger::default(), clock: ManualClock::new(NOW), registrar }
    }

    /// With a CA and a key of its provisioner.
    fn with_jwk() -> (Self, JwkKey) {
        let (world, key) = (Self::new(), JwkKey::generate().unwrap());
        world.name_ca("JWK");
        world.store("jwk", &key.to_json());
        (world, key)
    }

    fn with_x5c() -> (Self, Issuer, X5cKey) {
        let issuer = new_authority(KeyKind::EcdsaP256, NOW, &SystemRandom).unwrap().issuer;
        let (world, key) = (Self::new(), issuer.new_leaf(NOW, &SystemRandom).unwrap());
        world.name_ca("X5C");
        world.store("x5c", &key.to_json());
        (world, issuer, key)
    }

    fn name_ca(&self, kind: &str) {
        self.name_provisioner(&serde_json::json!({ "type": kind, "name": "ra" }));
    }

    fn name_provisioner(&self, provisioner: &Value) {
        let fingerprint = "00".repeat(32);
        let ca = serde_json::json!({
            "url": "https://ca.example.com", "fingerprint": fingerprint, "provisioner": provisioner,
        });
        self.objects.put(Ca::OBJECT, ca.to_string());
    }

    fn store(&self, name: &str, key: &Secret<String>) {
        self.secrets.put(&format!("stack/step-ca/{name}"), SecretValue::Text(key.clone()));
    }

    async fn issue(&self) -> Result<IssuedOtt, Fault> {
        let subject: SubjectName = "alice".parse().unwrap();
        self.order(Purpose::Sign { subject: &subject, sans: &[], csr: None }, &SystemRandom).await
    }

    async fn order(&self, purpose: Purpose<'_>, random: &dyn Random) -> Result<IssuedOtt, Fault> {
        let order = OttOrder {
            purpose,
            holder: "SHA256:abc",
            policies: "enrol.cedar:1",
            source_ip: [192, 0, 2, 1].into(),
            request_id: "request",
        };
        let signer = self.registrar.signer(&self.clock).await?;
        self.registrar.issue(order, &signer, &self.ledger, &self.clock, random).await
    }
}

fn part(issued: &IssuedOtt, at: usize) -> Value {
    let part = issued.token.token.expose().split('.').nth(at).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn recorded<'a>(row: &'a Row, name: &str) -> Option<&'a str> {
    row.record.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
}

#[tokio::test]
async fn the_ledger_has_what_a_token_says_before_there_is_one() {
    let (world, key) = World::with_jwk();
    let (subject, sans): (SubjectName, [AltName; 2]) =
        ("alice".parse().unwrap(), ["web.example.com", "192.0.2.7"].map(|name| name.parse().unwrap()));
    let csr = CsrDigest::of(b"csr");
    let issued =
        world.order(Purpose::Sign { subject: &subject, sans: &sans, csr: Some(&csr) }, &SystemRandom).await.unwrap();
    let [row] = world.ledger.rows().try_into().unwrap();
    assert_eq!((row.key.as_str(), row.ttl), (format!("ott#{}", issued.jti).as_str(), Some(NOW + 300 + 30 * 86_400)));
    let digest = csr.to_string();
    for (name, value) in [
        ("purpose", "sign"),
        ("subject", "alice"),
        ("sans", "web.example.com 192.0.2.7"),
        ("csr_sha256", &digest),
        ("holder", "SHA256:abc"),
        ("policies", "enrol.cedar:1"),
        ("source_ip", "192.0.2.1"),
        ("request_id", "request"),
        ("ca", "https://ca.example.com"),
        ("provisioner", "JWK/ra"),
        ("kid", key.kid()),
        ("issued_at", "1800000000"),
        ("expires_at", "1800000300"),
    ] {
        assert_eq!(recorded(&row, name), Some(value), "{name}");
    }
    assert_eq!(
        (part(&issued, 1)["jti"].as_str(), part(&issued, 0)["kid"].as_str()),
        (Some(&*issued.jti), Some(key.kid()))
    );
    assert!(!format!("{issued:?}").contains(issued.token.token.expose()));
}

#[tokio::test]
async fn a_revocation_is_of_a_serial_number_and_certifies_no_name() {
    let (world, _) = World::with_jwk();
    let serial: SerialNumber = "12345".parse().unwrap();
    let issued = world.order(Purpose::Revoke { serial: &serial }, &SystemRandom).await.unwrap();
    let claims = part(&issued, 1);
    assert_eq!((&claims["sub"], &claims["aud"]), (&"12345".into(), &"https://ca.example.com/1.0/revoke".into()));
    assert!(claims.get("sans").is_none() && claims.get("cnf").is_none());
    let [row] = world.ledger.rows().try_into().unwrap();
    assert_eq!((recorded(&row, "purpose"), recorded(&row, "serial")), (Some("revoke"), Some("12345")));
    assert_eq!(recorded(&row, "subject"), None);
}

#[tokio::test]
async fn no_row_no_token() {
    let (world, _) = World::with_jwk();
    world.ledger.switch.set(Failing::Unavailable);
    assert!(matches!(world.issue().await, Err(Fault::Unavailable(_))));
    world.ledger.switch.set(Failing::No);
    /// The same bytes each time.
    struct Stuck;
    impl Random for Stuck {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(7);
        }
    }
    let subject: SubjectName = "alice".parse().unwrap();
    let purpose = Purpose::Sign { subject: &subject, sans: &[], csr: None };
    assert!(world.order(purpose, &Stuck).await.is_ok());
    assert!(matches!(world.order(purpose, &Stuck).await, Err(Fault::Unusable(_))));
}

#[tokio::test]
async fn without_a_ca_or_a_key_of_its_kind_nobody_is_enrolled() {
    let world = World::new();
    assert!(matches!(world.issue().await, Err(Fault::Missing)));
    assert!(matches!(world.registrar.ca(&world.clock).await, Err(Fault::Missing)));
    world.registrar.prefetch(&world.clock).await.unwrap();
    // What comes is seen within a second, not a minute.
    world.name_ca("X5C");
    world.store("jwk", &JwkKey::generate().unwrap().to_json());
    world.clock.advance(Duration::from_secs(1));
    world.registrar.prefetch(&world.clock).await.unwrap();
    assert!(matches!(world.issue().await, Err(Fault::Missing)));
    assert!(world.ledger.rows().is_empty());
    let key =
        new_authority(KeyKind::EcdsaP256, NOW, &SystemRandom).unwrap().issuer.new_leaf(NOW, &SystemRandom).unwrap();
    world.store("x5c", &key.to_json());
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(part(&world.issue().await.unwrap(), 0)["alg"], "ES256");
}

#[tokio::test]
async fn a_ca_that_is_taken_away_enrols_nobody_after_a_minute() {
    let (world, _) = World::with_jwk();
    world.issue().await.unwrap();
    world.objects.remove(Ca::OBJECT);
    world.clock.advance(Duration::from_secs(61));
    assert!(matches!(world.issue().await, Err(Fault::Missing)));
}

#[tokio::test]
async fn a_store_that_forbids_to_look_has_no_ca_unless_one_was_known() {
    let world = World::new();
    world.objects.switch.set(Failing::Forbidden);
    world.registrar.prefetch(&world.clock).await.unwrap();
    assert!(matches!(world.issue().await, Err(Fault::Missing)));
    let (world, _) = World::with_jwk();
    world.issue().await.unwrap();
    world.objects.switch.set(Failing::Forbidden);
    world.clock.advance(Duration::from_secs(61));
    world.issue().await.unwrap();
}

#[tokio::test]
async fn what_is_no_ca_and_no_key_is_unusable() {
    let (world, key) = World::with_jwk();
    let (x5c, _, leaf) = World::with_x5c();
    world.objects.put(Ca::OBJECT, "{}");
    assert!(matches!(world.issue().await, Err(Fault::Unusable(_))));
    for (name, kind, secret) in [("leaf_as_jwk", "JWK", leaf.to_json()), ("jwk_as_leaf", "X5C", key.to_json())] {
        let world = World::new();
        world.name_ca(kind);
        world.store(&kind.to_lowercase(), &secret);
        assert!(matches!(world.issue().await, Err(Fault::Unusable(_))), "{name}");
        assert!(world.ledger.rows().is_empty(), "{name}");
    }
    x5c.secrets.put("stack/step-ca/x5c", SecretValue::Binary(Secret::new(leaf.to_json().expose().clone().into())));
    assert!(matches!(x5c.issue().await, Err(Fault::Unusable(_))));
}

#[tokio::test]
async fn a_new_key_signs_after_a_minute_and_while_the_source_fails_the_old_one_does() {
    let (world, old) = World::with_jwk();
    let kid = |issued: &IssuedOtt| part(issued, 0)["kid"].as_str().unwrap().to_owned();
    assert_eq!(kid(&world.issue().await.unwrap()), old.kid());
    let new = JwkKey::generate().unwrap();
    world.store("jwk", &new.to_json());
    world.clock.advance(Duration::from_secs(59));
    assert_eq!(kid(&world.issue().await.unwrap()), old.kid());
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(kid(&world.issue().await.unwrap()), new.kid());
    world.secrets.switch.set(Failing::Unavailable);
    world.objects.switch.set(Failing::Unavailable);
    world.clock.advance(Duration::from_secs(300));
    assert_eq!(kid(&world.issue().await.unwrap()), new.kid());
    world.clock.advance(Duration::from_secs(300));
    assert!(matches!(world.issue().await, Err(Fault::Unavailable(_))));
}

#[tokio::test]
async fn no_token_has_the_name_of_one_provisioner_and_the_key_of_another() {
    for object_is_read_first in [true, false] {
        let world = World::new();
        let replace = || {
            let key = JwkKey::generate().unwrap();
            world.store("jwk", &key.to_json());
            // A name is not used twice: a CA has both for a while.
            world.name_provisioner(&serde_json::json!({ "type": "JWK", "name": key.kid(), "kid": key.kid() }));
            key
        };
        replace();
        if object_is_read_first {
            world.registrar.ca(&world.clock).await.unwrap();
            world.clock.advance(Duration::from_secs(30));
            world.registrar.signer(&world.clock).await.unwrap();
        } else {
            world.registrar.signer(&world.clock).await.unwrap();
            world.clock.advance(Duration::from_secs(60));
            world.registrar.ca(&world.clock).await.unwrap();
        }
        let new = replace();
        for seconds in 0..=60 {
            let issued = world.issue().await.unwrap();
            assert_eq!(part(&issued, 1)["iss"], part(&issued, 0)["kid"], "{seconds}");
            world.clock.advance(Duration::from_secs(1));
        }
        assert_eq!(part(&world.issue().await.unwrap(), 0)["kid"], new.kid());
    }
}

#[tokio::test]
async fn the_key_before_signs_until_the_ca_is_named_with_the_new_one() {
    let (world, old) = World::with_jwk();
    let name = |key: &JwkKey| {
        world.name_provisioner(&serde_json::json!({ "type": "JWK", "name": key.kid(), "kid": key.kid() }));
    };
    name(&old);
    let new = JwkKey::generate().unwrap();
    world.store("jwk", &new.to_json());
    // An operator's command was cut short.
    for _ in 0..3 {
        let issued = world.issue().await.unwrap();
        assert_eq!((&part(&issued, 1)["iss"], &part(&issued, 0)["kid"]), (&old.kid().into(), &old.kid().into()));
        world.clock.advance(Duration::from_secs(100));
    }
    name(&new);
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(part(&world.issue().await.unwrap(), 0)["kid"], new.kid());
}

#[tokio::test]
async fn a_key_that_the_provisioner_does_not_know_signs_nothing() {
    let (world, _) = World::with_jwk();
    world.name_provisioner(&serde_json::json!({ "type": "JWK", "name": "ra", "kid": "another" }));
    assert!(matches!(world.issue().await, Err(Fault::Unavailable(_))));
    assert!(world.ledger.rows().is_empty());
    // It knows every leaf of one intermediate, and none of another.
    let (world, issuer, key) = World::with_x5c();
    world.name_provisioner(&serde_json::json!({ "type": "X5C", "name": "ra", "kid": key.known_as() }));
    let first = part(&world.issue().await.unwrap(), 0)["x5c"].clone();
    world.store("x5c", &issuer.new_leaf(NOW + 60, &SystemRandom).unwrap().to_json());
    world.clock.advance(Duration::from_secs(60));
    let second = part(&world.issue().await.unwrap(), 0)["x5c"].clone();
    assert!(first[0] != second[0] && first[1] == second[1]);
    let other = new_authority(KeyKind::EcdsaP256, NOW, &SystemRandom).unwrap().issuer;
    for _ in 0..2 {
        world.store("x5c", &other.new_leaf(NOW, &SystemRandom).unwrap().to_json());
    }
    world.clock.advance(Duration::from_secs(60));
    assert!(matches!(world.issue().await, Err(Fault::Unavailable(_))));
}

#[tokio::test]
async fn a_leaf_past_its_end_signs_nothing_and_a_new_one_does_at_once() {
    let (world, issuer, key) = World::with_x5c();
    world.issue().await.unwrap();
    world.clock.advance(90 * DAY);
    world.issue().await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    assert!(matches!(world.issue().await, Err(Fault::Unusable(_))));
    assert_eq!(world.ledger.rows().len(), 2);
    let now = NOW + 90 * 86_400 + 1;
    let next = issuer.new_leaf(now, &SystemRandom).unwrap();
    world.store("x5c", &next.to_json());
    world.clock.advance(Duration::from_secs(1));
    let leaf = part(&world.issue().await.unwrap(), 0)["x5c"][0].clone();
    let der = |key: &X5cKey| Value::from(base64::prelude::BASE64_STANDARD.encode(key.leaf().der()));
    assert!(leaf == der(&next) && leaf != der(&key));
}

#[test]
fn both_settings_must_be_there() {
    let read = |secrets: Option<&str>, days: Option<&str>| {
        let variable = |name: &str| match name {
            "STEP_SECRETS" => secrets.map(str::to_owned),
            "AUDIT_DAYS" => days.map(str::to_owned),
            _ => None,
        };
        RegistrarConfig::read(Settings::new(&variable)).map(|config| (config.secrets, config.audit_days))
    };
    assert_eq!(read(Some("stack/step-ca"), Some("30")).unwrap(), ("stack/step-ca".to_owned(), 30));
    assert_eq!(read(None, Some("30")).unwrap_err().0, "STEP_SECRETS");
    assert_eq!(read(Some("a"), None).unwrap_err().0, "AUDIT_DAYS");
    assert_eq!(read(Some("a"), Some("-1")).unwrap_err().0, "AUDIT_DAYS");
}
