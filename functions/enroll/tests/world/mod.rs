//! A service over memory: a step-ca that is set up, subjects with addresses, policies, and keys of the issuer of access tokens.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::panic, reason = "each test file uses its part")]

pub mod ca;
pub mod ledger;

use std::{sync::Arc, time::Duration};

use access_token::{Claims, SigningKey};
use axum::{
    Router,
    body::Body,
    http::{Method, Request, StatusCode, header},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use enroll::{Adapters, Config, Ports, Service, router};
use issuer::PublishedKeys;
use ports::memory::{ManualClock, MemoryMail, MemoryObjects, MemorySecrets, MemorySms, MemoryWebhook};
use protocol::{Secret, SecretValue};
use serde_json::{Value, json};
use step::{JwkKey, RegistrarConfig};
use test_support::{Answered, Log, ask};

use self::{ca::StepCa, ledger::Verbs};

/// The begin of a day, and of a window of five minutes.
pub const NOW: u64 = 1_799_971_200;
pub const ADDRESS: &str = "192.0.2.7";

const SUBJECTS: &str = r#"{
    "alice": {"sms": "+391234567890", "mail": "alice@example.com", "webhook": "telegram:42"},
    "bob": {"mail": "bob@example.com"},
    "eve": {"webhook": "matrix:eve"},
    "391234567890": {"sms": "+391234567890"}
}"#;

const POLICIES: &str = r#"
    permit (principal, action == Action::"certificate:enroll", resource)
    when { principal is Subject && !(context has scope) && principal == resource };
    permit (principal == Subject::"alice", action == Action::"certificate:enroll", resource)
    when { resource.name like "*.alice.example.com" };
    permit (principal == Subject::"group:web", action == Action::"certificate:enroll", resource)
    when { context has scope && context.scope.contains("enroll") };
    permit (principal, action == Action::"certificate:revoke", resource)
    when { principal is Subject && context has subject && principal.name == context.subject };
    permit (principal == Subject::"group:web", action == Action::"certificate:revoke", resource)
    when { context has scope && context.scope.contains("revoke") };
"#;

pub struct Memory;

impl Ports for Memory {
    type Objects = MemoryObjects;
    type Secrets = MemorySecrets;
    type Ledger = Verbs;
    type Sms = MemorySms;
    type Mail = MemoryMail;
    type Webhook = MemoryWebhook;
    type Clock = ManualClock;
}

pub struct World {
    pub objects: MemoryObjects,
    pub secrets: MemorySecrets,
    pub ledger: Verbs,
    pub sms: MemorySms,
    pub mail: MemoryMail,
    pub webhook: MemoryWebhook,
    pub clock: ManualClock,
    pub step_ca: StepCa,
    pub settings: Settings,
    /// The issuer's, which signs access tokens.
    key: SigningKey,
    router: Router,
    pub log: Log,
}

/// What a test may choose of the deployment.
#[derive(Clone)]
pub struct Settings {
    pub rate: u32,
    pub codes_per_day: u32,
    pub grid: Duration,
    pub sending: Duration,
    pub deadline: Duration,
    pub has_mail: bool,
    pub has_webhook: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rate: 1_000,
            codes_per_day: 1_000,
            grid: Duration::ZERO,
            sending: Duration::from_millis(200),
            deadline: Duration::from_millis(500),
            has_mail: true,
            has_webhook: true,
        }
    }
}

/// What the one-time token of an answer says.
pub fn granted(answer: &Answered) -> Value {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    claims(answer.json()["token"].as_str().unwrap())
}

/// What a one-time token says.
pub fn claims(token: &str) -> Value {
    let parts: Vec<&str> = token.split('.').collect();
    assert_eq!(parts.len(), 3, "{token}");
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap()
}

impl World {
    pub fn new() -> Self {
        Self::with(Settings::default())
    }

    pub fn with(settings: Settings) -> Self {
        let (objects, secrets) = (MemoryObjects::default(), MemorySecrets::default());
        let key = SigningKey::from_pem(SigningKey::generate().expose()).unwrap();
        objects.put(PublishedKeys::OBJECT, PublishedKeys::first(key.public().clone()).to_json());
        objects.put("subjects/people.json", SUBJECTS);
        objects.put("policies/enroll.cedar", POLICIES);
        let text = |text: &str| SecretValue::Text(Secret::new(text.to_owned()));
        secrets.put("countersign/enroll/code-key", text(&"k0".repeat(32)));
        secrets.put("countersign/step-ca/jwk", SecretValue::Text(JwkKey::generate().unwrap().to_json()));
        let step_ca = StepCa::new();
        objects.put("step-ca/ca.json", step_ca.ca_json());
        let log = Log::start();
        let mut world = Self {
            objects,
            secrets,
            ledger: Verbs::default(),
            sms: MemorySms::default(),
            mail: MemoryMail::default(),
            webhook: MemoryWebhook::default(),
            clock: ManualClock::new(NOW),
            step_ca,
            settings,
            key,
            router: Router::new(),
            log,
        };
        world.start();
        world
    }

    /// Another instance of the function, with empty caches.
    pub fn start(&mut self) {
        let Settings { rate, codes_per_day, grid, sending, deadline, has_mail, has_webhook } = self.settings.clone();
        let config = Config {
            registrar: RegistrarConfig { secrets: "countersign/step-ca".into(), audit_days: 400 },
            key_secret: "countersign/server-key".into(),
            code_key_secret: "countersign/enroll/code-key".into(),
            rate,
            codes_per_day,
            grid,
            sending,
            deadline,
        };
        let adapters = Adapters::<Memory> {
            objects: self.objects.clone(),
            secrets: self.secrets.clone(),
            ledger: self.ledger.clone(),
            sms: self.sms.clone(),
            mail: has_mail.then(|| self.mail.clone()),
            webhook: has_webhook.then(|| self.webhook.clone()),
            clock: self.clock.clone(),
        };
        self.router = router(Arc::new(Service::new(config, adapters)));
    }

    pub async fn send(&self, request: Request<Body>, address: &str) -> Answered {
        ask(&self.router, address, "request-1", request).await
    }

    pub async fn post_from(&self, address: &str, path: &str, body: &Value, bearer: Option<&str>) -> Answered {
        let mut request =
            Request::builder().method(Method::POST).uri(path).header(header::CONTENT_TYPE, "application/json");
        if let Some(token) = bearer {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        self.send(request.body(Body::from(body.to_string())).unwrap(), address).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answered {
        self.post_from(ADDRESS, path, body, None).await
    }

    pub async fn challenge(&self, subject: &str, channel: &str) -> Answered {
        self.post("/v2/enroll/challenge", &json!({ "subject": subject, "channel": channel })).await
    }

    pub async fn token(&self, subject: &str, code: &str) -> Answered {
        self.post("/v2/enroll/token", &json!({ "subject": subject, "code": code })).await
    }

    /// The code that was sent last, by whichever channel it was.
    pub fn last_code(&self, channel: &str) -> String {
        let text = match channel {
            "sms" => self.sms.sent().pop().unwrap().text,
            "mail" => self.mail.sent().pop().unwrap().text,
            "webhook" => {
                let body: Value = serde_json::from_str(&self.webhook.posted().pop().unwrap().body).unwrap();
                body["data"]["code"].as_str().unwrap().to_owned()
            }
            other => panic!("{other}"),
        };
        text.split(' ').next().unwrap().to_owned()
    }

    /// A code that the subject asked for and got.
    pub async fn code(&self, subject: &str, channel: &str) -> String {
        let answer = self.challenge(subject, channel).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.body);
        assert_eq!(self.log.audited()[1], "granted", "{}", self.log.event());
        self.last_code(channel)
    }

    /// How many messages were sent in all.
    pub fn sent(&self) -> usize {
        self.sms.sent().len() + self.mail.sent().len() + self.webhook.posted().len()
    }

    /// An access token of `group:web`, of this scope and for this network.
    pub fn access_token(&self, scope: &str, network: &str) -> String {
        self.access_token_with(|claims| {
            claims.scope = scope.parse().unwrap();
            claims.network = network.parse().unwrap();
        })
    }

    pub fn access_token_with(&self, change: impl FnOnce(&mut Claims)) -> String {
        let mut claims = Claims {
            issuer: "countersign".into(),
            subject: "group:web".into(),
            issued_at: NOW,
            expires_at: NOW + 3_600,
            network: "192.0.2.0/24".parse().unwrap(),
            session: "c2Vzc2lvbg".into(),
            scope: "enroll revoke".parse().unwrap(),
        };
        change(&mut claims);
        claims.sign(&self.key).expose().clone()
    }

    /// The rows of issued one-time tokens, as maps.
    pub fn issued(&self) -> Vec<Value> {
        let rows = self.ledger.rows.rows();
        let rows = rows.into_iter().filter(|row| row.key.starts_with("ott#"));
        rows.map(|row| json!(row.record.into_iter().collect::<std::collections::BTreeMap<_, _>>())).collect()
    }
}

/// A code that it is not.
pub fn other_than(code: &str) -> String {
    format!("{:08}", (code.parse::<u32>().unwrap() + 1) % 100_000_000)
}

pub fn minutes(minutes: u64) -> Duration {
    Duration::from_mins(minutes)
}
