//! What is around a broker, as far as the client speaks to it: the console's federation endpoint, an npm registry, and of AWS
//! the function `issue`, AWS IoT's CAs and Parameter Store.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Path, Request, State},
    http::{HeaderMap, Method, header},
    middleware::{Next, from_fn},
    response::Response,
    routing::{any, get, post},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use issue::issue;
use issuer::Issuer;
use pki::Certificate;
use ports::{
    SystemClock,
    memory::{MemoryLedger, MemoryObjects, MemorySecrets},
};
use protocol::SystemRandom;
use serde_json::{Value, json};

use super::json as answer;

/// The access key that AWS knows here.
const ACCESS_KEY: &str = "AKIAEXAMPLE";

/// `/federation`, `/npm/...`, and AWS for `AWS_ENDPOINT_URL`.
pub(super) fn router(issuer: Issuer<MemoryObjects, MemorySecrets>) -> Router {
    let aws = Router::new()
        .route("/2015-03-31/functions/{name}/invocations", post(invoke))
        .with_state(Arc::new(issuer))
        .merge(certificates())
        .layer(from_fn(signed));
    Router::new().route("/federation", get(federation)).merge(aws).merge(registry())
}

async fn federation() -> Json<Value> {
    Json(json!({ "SigninToken": "example-signin-token" }))
}

/// An npm registry: a package is there for who brings a token.
fn registry() -> Router {
    let packages = Arc::<Mutex<BTreeMap<String, Value>>>::default();
    Router::new().route("/npm/{*path}", any(package)).with_state(packages)
}

async fn package(
    State(packages): State<Arc<Mutex<BTreeMap<String, Value>>>>,
    Path(path): Path<String>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let missing = || answer(404, &json!({ "error": "not found" }));
    if !headers.contains_key(header::AUTHORIZATION) {
        return missing();
    }
    let mut packages = packages.lock().unwrap();
    if method == Method::PUT {
        packages.insert(path, serde_json::from_slice(&body).unwrap());
        return answer(201, &json!({}));
    }
    if let Some((name, file)) = path.split_once("/-/") {
        let attachment = packages.get(name).map(|document| document["_attachments"][file]["data"].clone());
        let bytes = attachment.and_then(|data| BASE64_STANDARD.decode(data.as_str()?).ok());
        return bytes.map_or_else(missing, |bytes| Response::new(Body::from(bytes)));
    }
    packages.get(&path).map_or_else(missing, |document| answer(200, document))
}

/// A request to AWS that is not signed with the known key is not permitted.
async fn signed(request: Request, next: Next) -> Response {
    let header = request.headers().get(header::AUTHORIZATION).and_then(|header| header.to_str().ok());
    if header.is_some_and(|header| header.contains(&format!("Credential={ACCESS_KEY}/"))) {
        next.run(request).await
    } else {
        refusal(403, "AccessDeniedException", "not authorized")
    }
}

/// An error in the form of AWS's JSON protocols.
fn refusal(status: u16, code: &'static str, message: &str) -> Response {
    let mut response = answer(status, &json!({ "__type": code, "message": message }));
    response.headers_mut().insert("x-amzn-errortype", code.parse().unwrap());
    response
}

/// AWS Lambda `Invoke` of the function `countersign-issue`.
async fn invoke(
    State(issuer): State<Arc<Issuer<MemoryObjects, MemorySecrets>>>,
    Path(name): Path<String>,
    body: Bytes,
) -> Response {
    if name != "countersign-issue" {
        return refusal(404, "ResourceNotFoundException", "function not found");
    }
    let order = serde_json::from_slice(&body).unwrap();
    match issue(order, &issuer, &MemoryLedger::default(), &SystemClock, &SystemRandom, "request-1").await {
        Ok(issued) => answer(200, &serde_json::to_value(&issued).unwrap()),
        Err(error) => {
            let mut failed = answer(200, &json!({ "errorMessage": error.to_string(), "errorType": "Error" }));
            failed.headers_mut().insert("x-amz-function-error", "Unhandled".parse().unwrap());
            failed
        }
    }
}

/// AWS IoT's CAs by id, and the parameters of their keys.
#[derive(Default)]
struct Cas {
    registered: Mutex<BTreeMap<String, String>>,
    parameters: Mutex<BTreeMap<String, Value>>,
}

fn certificates() -> Router {
    Router::new()
        .route("/registrationcode", get(async || Json(json!({ "registrationCode": "0123456789abcdef" }))))
        .route("/cacertificate", post(register_ca))
        .route("/cacertificate/{id}", get(describe_ca))
        .route("/", post(parameter))
        .with_state(Arc::<Cas>::default())
}

async fn describe_ca(State(cas): State<Arc<Cas>>, Path(id): Path<String>) -> Response {
    match cas.registered.lock().unwrap().get(&id) {
        Some(pem) => answer(
            200,
            &json!({ "certificateDescription": { "certificateId": id, "certificatePem": pem, "status": "ACTIVE" } }),
        ),
        None => refusal(404, "ResourceNotFoundException", "no such CA"),
    }
}

async fn register_ca(State(cas): State<Arc<Cas>>, Json(order): Json<Value>) -> Response {
    let pem = order["caCertificate"].as_str().unwrap().to_owned();
    let id = Certificate::from_pem(&pem).unwrap().id().to_string();
    cas.registered.lock().unwrap().insert(id.clone(), pem);
    answer(200, &json!({ "certificateId": id }))
}

async fn parameter(State(cas): State<Arc<Cas>>, headers: HeaderMap, body: Bytes) -> Response {
    let order: Value = serde_json::from_slice(&body).unwrap();
    let name = order["Name"].as_str().unwrap().to_owned();
    let mut parameters = cas.parameters.lock().unwrap();
    let found = parameters.get(&name).cloned();
    match (headers["x-amz-target"].to_str().unwrap(), found) {
        ("AmazonSSM.PutParameter", None) => {
            parameters.insert(name, order["Value"].clone());
            answer(200, &json!({ "Version": 1 }))
        }
        ("AmazonSSM.PutParameter", Some(_)) => refusal(400, "ParameterAlreadyExists", "there is one"),
        (_, Some(value)) => {
            answer(200, &json!({ "Parameter": { "Name": name, "Type": "SecureString", "Value": value } }))
        }
        (_, None) => refusal(400, "ParameterNotFound", "no such parameter"),
    }
}
