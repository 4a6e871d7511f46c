//! A service over memory, with a CA that AWS IoT knows, and a model of AWS IoT.
#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    clippy::panic,
    clippy::unwrap_used,
    reason = "each test file uses its part"
)]

mod faults;
mod memory_iot;
mod memory_ports;
pub mod templates;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    thread,
};

use axum::{
    Router,
    body::Body,
    http::{Method, Request, StatusCode, header},
};
pub use faults::{Faults, Trouble};
pub use memory_iot::{CertificateEntry, MemoryIot, ThingEntry, arn};
use memory_ports::{MemoryPrivateCas, MemorySecureParameters, NotedLedger};
use pki::{Authority, Certificate, Csr, DeviceKey, KeyKind, Subject, SubjectFields, new_root};
use ports::{
    RegisteredCa, ThingGroup,
    memory::{ManualClock, MemoryLedger, MemoryObjects},
};
use protocol::SystemRandom;
use provision::{Adapters, Config, Ports, PrivateCaAlias, Service, router};
use serde_json::{Value, json};
use test_support::{Answered, Log, ask};
use web::Bearer;

pub const NOW: u64 = 1_800_000_000;
pub const IOT_ARNS: &str = "arn:aws:iot:eu-central-1:123456789012:";
pub const PRIVATE_CA: &str =
    "arn:aws:acm-pca:eu-central-1:210987654321:certificate-authority/00000000-0000-4000-8000-000000000000";
pub const PRIVATE_CA_ROLE: &str = "arn:aws:iam::210987654321:role/signs";
pub const CDF: &str = "application/vnd.aws-cdf-v1.0+json";

/// The calls that change nothing.
const READING: [&str; 15] = [
    "ca",
    "certificate",
    "certificates_of",
    "errors",
    "group",
    "groups_of",
    "has_targets",
    "policies_of",
    "policy",
    "read_secure",
    "results",
    "row",
    "task",
    "thing",
    "things_of",
];

pub struct Memory;

impl Ports for Memory {
    type Objects = MemoryObjects;
    type Ledger = NotedLedger;
    type Parameters = MemorySecureParameters;
    type Iot = MemoryIot;
    type PrivateCas = MemoryPrivateCas;
    type Clock = ManualClock;
}

pub struct World {
    pub objects: MemoryObjects,
    pub ledger: MemoryLedger,
    pub parameters: MemorySecureParameters,
    pub iot: MemoryIot,
    pub private_cas: MemoryPrivateCas,
    pub clock: ManualClock,
    pub faults: Faults,
    pub config: Config,
    pub bearer: Bearer,
    pub request_id: String,
    /// The CA that AWS IoT knows; the private CA is the same one.
    pub ca: Certificate,
    router: Router,
    pub log: Log,
}

/// The certificate that was given.
pub fn certificate(answer: &Answered) -> Certificate {
    Certificate::from_pem(answer.json()["certificatePem"].as_str().unwrap()).unwrap()
}

pub fn subject(common_name: &str) -> Subject {
    let common_name = Some(common_name.to_owned());
    Subject::new(&SubjectFields { common_name, country: Some("DE".into()), ..SubjectFields::default() }).unwrap()
}

/// A CA of this many days: its certificate and its key.
pub fn root(name: &str, began: u64, days: u32) -> (Certificate, String) {
    let (certificate, key) = new_root(&subject(name), KeyKind::EcdsaP256, began, days, &SystemRandom).unwrap();
    (certificate, key.expose().clone())
}

/// What a device's key asks for.
pub fn csr(common_name: &str) -> Csr {
    DeviceKey::generate(KeyKind::EcdsaP256).unwrap().csr(&subject(common_name)).unwrap()
}

/// A certificate of a CA that nobody knows.
pub fn foreign_certificate() -> Certificate {
    let (ca, key) = root("elsewhere", NOW, 400);
    let public_key = DeviceKey::generate(KeyKind::EcdsaP256).unwrap().public_key();
    let order = pki::Order { subject: &subject("sensor-1"), public_key: &public_key, now: NOW, days: 90 };
    Authority::new(ca, &key).unwrap().issue(&order, &SystemRandom).unwrap()
}

impl World {
    pub fn new() -> Self {
        let log = Log::start();
        let faults = Faults::default();
        let (ca, key) = root("Example CA", NOW - 86_400, 3_650);
        let (aws, aws_key) = root("Example Web Services", NOW - 86_400, 10_000);
        let authorities = BTreeMap::from([(PRIVATE_CA.to_owned(), Authority::new(ca.clone(), &key).unwrap())]);
        let parameters = BTreeMap::from([(format!("cdf-ca-key-{}", ca.id()), key)]);
        let mut world = Self {
            objects: MemoryObjects::default(),
            ledger: MemoryLedger::default(),
            parameters: MemorySecureParameters { values: Arc::new(Mutex::new(parameters)), faults: faults.clone() },
            iot: MemoryIot::new(faults.clone(), Authority::new(aws, &aws_key).unwrap()),
            private_cas: MemoryPrivateCas {
                authorities: Arc::new(authorities),
                orders: Arc::default(),
                instead: Arc::default(),
                faults: faults.clone(),
            },
            clock: ManualClock::new(NOW),
            faults,
            config: Config {
                bucket: "bucket".into(),
                key_secret: "countersign/token-key".into(),
                audit_days: 400,
                bulk_role_arn: "arn:aws:iam::123456789012:role/bulk".into(),
                iot_arns: IOT_ARNS.into(),
                max_days: 1_000,
                delete_certificates: true,
                delete_policies: true,
                cas: BTreeMap::from([("factory".to_owned(), ca.id())]),
                private_cas: BTreeMap::from([(
                    "cloud".to_owned(),
                    PrivateCaAlias { arn: PRIVATE_CA.into(), role_arn: Some(PRIVATE_CA_ROLE.into()) },
                )]),
            },
            bearer: Bearer {
                subject: "network:line1".into(),
                scope: "things:read things:write".into(),
                session: "session-1".into(),
            },
            request_id: "request-1".into(),
            ca,
            router: Router::new(),
            log,
        };
        world.allow("permit (principal, action, resource);");
        for (id, template) in [
            ("own", templates::by_pem(json!({ "createDeviceCertificate": true }))),
            ("own_by_id", templates::by_id(json!({ "createDeviceCertificate": true }))),
            ("aws", templates::by_id(json!({ "createDeviceAWSCertificate": true }))),
            ("given", templates::by_id(json!({ "registerDeviceCertificateWithoutCA": true }))),
            ("private", templates::by_pem(json!({ "acmpca": { "mode": "REGISTER_WITH_CA" } }))),
            ("private_alone", templates::by_id(json!({ "acmpca": { "mode": "REGISTER_WITHOUT_CA" } }))),
            ("plain", templates::plain()),
            ("bare", templates::bare()),
        ] {
            world.template(id, &template);
        }
        let registered = RegisteredCa { pem: world.ca.to_pem(), active: true };
        world.iot.state().cas.insert(world.ca.id().to_string(), registered);
        world.iot.state().policies.insert("devices".into(), r#"{"Version":"2012-10-17","Statement":[]}"#.into());
        world.start();
        world
    }

    /// Another instance of the function, with empty caches.
    pub fn start(&mut self) {
        let adapters = Adapters::<Memory> {
            objects: self.objects.clone(),
            ledger: NotedLedger { rows: self.ledger.clone(), faults: self.faults.clone() },
            parameters: self.parameters.clone(),
            iot: self.iot.clone(),
            private_cas: self.private_cas.clone(),
            clock: self.clock.clone(),
        };
        self.router = router(Arc::new(Service::new(self.config.clone(), adapters)));
    }

    /// Puts the one file of policies.
    pub fn allow(&self, policy: &str) {
        self.objects.put("policies/ops.cedar", policy);
    }

    pub fn template(&self, id: &str, template: &Value) {
        self.objects.put(&format!("templates/{id}.json"), template.to_string());
    }

    pub fn group(&self, name: &str, ancestors: &[&str]) {
        let ancestors = ancestors.iter().map(|name| (*name).to_owned()).collect();
        let attributes = BTreeMap::from([("site".to_owned(), "north".to_owned())]);
        let group = ThingGroup { name: name.into(), arn: arn("thinggroup", name), attributes, ancestors };
        self.iot.state().groups.insert(name.into(), group);
    }

    /// What the option of a template of this id needs.
    pub fn needs(&self, template: &str) -> Option<Value> {
        let cert_info = json!({ "commonName": "sensor-1", "country": "DE" });
        match template {
            "own" | "own_by_id" => Some(json!({ "caId": self.ca.id().as_str(), "certInfo": cert_info })),
            "given" => Some(json!({ "certificatePem": foreign_certificate().to_pem() })),
            "private" => Some(json!({
                "acmpcaCaAlias": "cloud",
                "awsiotCaAlias": "factory",
                "certInfo": cert_info,
            })),
            "private_alone" => Some(json!({ "acmpcaCaArn": PRIVATE_CA, "certInfo": cert_info })),
            _ => None,
        }
    }

    /// The body that registers the thing `sensor-1`.
    pub fn order(&self, template: &str) -> Value {
        let mut body = json!({ "provisioningTemplateId": template, "parameters": { "ThingName": "sensor-1" } });
        if let Some(needs) = self.needs(template) {
            body["cdfProvisioningParameters"] = needs;
        }
        body
    }

    pub async fn provision(&self, body: &Value) -> Answered {
        self.post("/things", body).await
    }

    /// A thing with a certificate of this world's CA.
    pub async fn provisioned(&self, name: &str) -> Certificate {
        let mut body = self.order("own");
        body["parameters"]["ThingName"] = json!(name);
        let answer = self.provision(&body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
        certificate(&answer)
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answered {
        let request =
            Request::builder().method(Method::POST).uri(path).header(header::CONTENT_TYPE, "application/json");
        self.send(request.body(body.to_string().into()).unwrap()).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Answered {
        let request = Request::builder().method(Method::PATCH).uri(path).header(header::CONTENT_TYPE, CDF);
        self.send(request.body(body.to_string().into()).unwrap()).await
    }

    pub async fn get(&self, path: &str) -> Answered {
        self.send(Request::builder().uri(path).body(Body::empty()).unwrap()).await
    }

    pub async fn delete(&self, path: &str) -> Answered {
        self.send(Request::builder().method(Method::DELETE).uri(path).body(Body::empty()).unwrap()).await
    }

    pub async fn send(&self, mut request: Request<Body>) -> Answered {
        request.extensions_mut().insert(self.bearer.clone());
        let answer = ask(&self.router, "192.0.2.7", &self.request_id, request).await;
        assert_eq!(answer.headers["x-request-id"], self.request_id);
        if answer.header("content-type") != Some("application/problem+json") {
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{}", answer.body);
        }
        answer
    }

    /// The calls so far that may have changed something.
    pub fn changes(&self) -> Vec<&'static str> {
        self.faults.calls().into_iter().filter(|call| !READING.contains(call)).collect()
    }
}

impl Drop for World {
    /// Whatever a test does, no private key is in the log.
    fn drop(&mut self) {
        if !thread::panicking() {
            assert!(!self.log.text().contains("PRIVATE KEY"), "a private key is in the log");
        }
    }
}
