//! Devices: the function `provision` over the model of AWS IoT that its own tests have.

#[path = "../../../functions/provision/tests/world/faults.rs"]
pub mod faults;
#[path = "../../../functions/provision/tests/world/memory_iot.rs"]
pub mod memory_iot;
#[path = "../../../functions/provision/tests/world/memory_ports.rs"]
pub mod memory_ports;
#[path = "../../../functions/provision/tests/world/templates.rs"]
pub mod templates;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use access_token::bearer;
use axum::{
    Router,
    extract::{ConnectInfo, Request, State},
    http::header,
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use faults::Faults;
use issuer::PublicKeys;
use memory_iot::MemoryIot;
use memory_ports::{MemoryPrivateCas, MemorySecureParameters, NotedLedger};
use pki::{Authority, Certificate, KeyKind, Subject, SubjectFields, new_root};
use ports::{
    RegisteredCa, SystemClock,
    memory::{MemoryLedger, MemoryObjects},
};
use protocol::SystemRandom;
use serde_json::json;

use super::{Memory, TOKEN_KEY_SECRET};

/// When the CAs began, and when AWS IoT issues: before any test runs.
const NOW: u64 = 1_790_000_000;
const IOT_ARNS: &str = "arn:aws:iot:eu-central-1:123456789012:";

impl provision::Ports for Memory {
    type Objects = MemoryObjects;
    type Ledger = NotedLedger;
    type Parameters = MemorySecureParameters;
    type Iot = MemoryIot;
    type PrivateCas = MemoryPrivateCas;
    type Clock = SystemClock;
}

/// AWS IoT, with a CA of the customer's that has the alias `factory`, and the templates `lamps` (it signs by that CA), `aws` (AWS
/// makes the key) and `bare` (a thing alone).
pub struct Devices {
    /// What is registered.
    pub iot: MemoryIot,
    ca: Certificate,
    parameters: MemorySecureParameters,
    faults: Faults,
}

impl Devices {
    pub(super) fn new() -> Self {
        let faults = Faults::default();
        let (ca, key) = root("Example CA");
        let (aws, aws_key) = root("Example Web Services");
        let iot = MemoryIot::new(faults.clone(), Authority::new(aws, &aws_key).unwrap());
        iot.state().cas.insert(ca.id().to_string(), RegisteredCa { pem: ca.to_pem(), active: true });
        iot.state().policies.insert("devices".into(), r#"{"Version":"2012-10-17","Statement":[]}"#.into());
        let values = BTreeMap::from([(format!("cdf-ca-key-{}", ca.id()), key)]);
        let parameters = MemorySecureParameters { values: Arc::new(Mutex::new(values)), faults: faults.clone() };
        Self { iot, ca, parameters, faults }
    }

    /// The function behind its authorizer.
    pub(super) fn router(&self, objects: &MemoryObjects) -> Router {
        for (id, template) in [
            ("lamps", templates::by_pem(json!({ "createDeviceCertificate": true }))),
            ("aws", templates::by_id(json!({ "createDeviceAWSCertificate": true }))),
            ("bare", templates::bare()),
        ] {
            objects.put(&format!("templates/{id}.json"), template.to_string());
        }
        let config = provision::Config {
            bucket: "bucket".into(),
            key_secret: TOKEN_KEY_SECRET.into(),
            audit_days: 1,
            bulk_role_arn: "arn:aws:iam::123456789012:role/bulk".into(),
            iot_arns: IOT_ARNS.into(),
            max_days: 1_000,
            delete_certificates: true,
            delete_policies: false,
            cas: BTreeMap::from([("factory".to_owned(), self.ca.id())]),
            private_cas: BTreeMap::new(),
        };
        let adapters = provision::Adapters::<Memory> {
            objects: objects.clone(),
            ledger: NotedLedger { rows: MemoryLedger::default(), faults: self.faults.clone() },
            parameters: self.parameters.clone(),
            iot: self.iot.clone(),
            private_cas: MemoryPrivateCas {
                authorities: Arc::default(),
                orders: Arc::default(),
                instead: Arc::default(),
                faults: self.faults.clone(),
            },
            clock: SystemClock,
        };
        let keys = Arc::new(PublicKeys::new(objects.clone()));
        let routes = provision::router(Arc::new(provision::Service::new(config, adapters)));
        super::without_fallback(routes).layer(from_fn_with_state(keys, authorize))
    }
}

/// Says whose token a request brings, or answers as Amazon API Gateway does where it has no valid one.
async fn authorize(
    State(keys): State<Arc<PublicKeys<MemoryObjects>>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    let header = request.headers().get(header::AUTHORIZATION).and_then(|header| header.to_str().ok());
    let token = header.and_then(bearer).unwrap_or_default().to_owned();
    let Ok(token) = keys.verify(&token, peer.ip(), &SystemClock).await else {
        return super::json(401, &json!({ "message": "Unauthorized" }));
    };
    let claims = token.claims();
    let (subject, scope, session) = (claims.subject.clone(), claims.scope.to_string(), claims.session.clone());
    request.extensions_mut().insert(web::Bearer { subject, scope, session });
    next.run(request).await
}

fn root(name: &str) -> (Certificate, String) {
    let fields = SubjectFields { common_name: Some(name.to_owned()), ..SubjectFields::default() };
    let subject = Subject::new(&fields).unwrap();
    let (certificate, key) = new_root(&subject, KeyKind::EcdsaP256, NOW - 86_400, 10_000, &SystemRandom).unwrap();
    (certificate, key.expose().clone())
}
