//! What is around a broker, as far as the client speaks to it: the console's federation endpoint, an npm registry, and of AWS
//! the function `issue`, AWS IoT's CAs and Parameter Store.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Extension, Json, Router,
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
    AppendSecret as _, Clock as _, FindSecret as _, Object, ReadObject as _, ReadSecret as _, SystemClock,
    VersionSelector,
    memory::{MemoryLedger, MemoryObjects, MemorySecrets},
};
use protocol::{Secret, SecretValue, SystemRandom};
use serde_json::{Value, json};

use super::json as answer;

pub(super) const AUDIT_LOG: &str = concat!(
    "START RequestId: request-1 Version: $LATEST\n",
    r#"{"timestamp":"2026-01-02T03:04:05.000001Z","level":"INFO","action":"exchange","outcome":"granted","request_id":"request-1","source_ip":"192.0.2.7","group":"web","jti":"AAAAAAAAAAAAAAAAAAAAAA","wire":"v2","wants":"secret:app/db","policies":"base.cedar:policy0","target":"audit"}"#,
    "\n",
    r#"{"timestamp":"2026-01-02T03:04:06Z","level":"WARN","message":"the audit log is slow","target":"exchange"}"#,
    "\n",
    r#"{"timestamp":"2026-01-02T03:04:07.25Z","level":"INFO","action":"exchange","outcome":"denied","reason":"policy","request_id":"request-2","source_ip":"192.0.2.8","group":"web","wants":"secret:ops/root","target":"audit"}"#,
    "\n",
    r#"{"timestamp":"2026-01-02T03:04:08Z","level":"INFO","action":"enroll:challenge","outcome":"refused","reason":"rate","request_id":"request-3","source_ip":"2001:db8::1","subject":"\u001b]0;owned\u0007alice","channel":"sms","target":"audit"}"#,
    "\n",
    r#"{"timestamp":"2026-01-02T03:04:09.5Z","level":"INFO","action":"enroll:token","outcome":"refused","reason":"wrong_code","request_id":"request-4","source_ip":"2001:db8::2","subject":"+391234567890","target":"audit"}"#,
    "\n",
    r#"{"timestamp":"2026-01-02T03:04:10Z","level":"INFO","action":"token","outcome":"refused","reason":"unknown_key","request_id":"request-5","source_ip":"198.51.100.3","subject":"SHA256:x","target":"audit"}"#,
    "\n",
    r#"{"timestamp":"2026-01-02T03:04:11Z","level":"INFO","action":"exch"#,
    "\n",
);

/// The access key that AWS knows here.
const ACCESS_KEY: &str = "AKIAEXAMPLE";

/// `/federation`, `/npm/...`, and AWS for `AWS_ENDPOINT_URL`.
pub(super) fn router(issuer: Issuer<MemoryObjects, MemorySecrets>) -> Router {
    let aws = Router::new()
        .route("/2015-03-31/functions/{name}/invocations", post(invoke))
        .with_state(Arc::new(issuer))
        .merge(certificates())
        .route("/countersign-bucket/{*key}", get(object).put(put_object))
        .layer(Extension(MemoryObjects::default()))
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
    secrets: MemorySecrets,
}

fn certificates() -> Router {
    let cas = Cas::default();
    ["jwk", "x5c", "x5c-intermediate"]
        .iter()
        .for_each(|name| cas.secrets.create(&format!("countersign/step-ca/{name}")));
    Router::new()
        .route("/registrationcode", get(async || Json(json!({ "registrationCode": "0123456789abcdef" }))))
        .route("/cacertificate", post(register_ca))
        .route("/cacertificate/{id}", get(describe_ca))
        .route("/", post(called))
        .with_state(Arc::new(cas))
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

/// What AWS names in a header, not in a path.
async fn called(cas: State<Arc<Cas>>, headers: HeaderMap, body: Bytes) -> Response {
    let order: Value = serde_json::from_slice(&body).unwrap();
    match headers["x-amz-target"].to_str().unwrap() {
        "Logs_20140328.FilterLogEvents" => log_events(&order),
        call if call.starts_with("secretsmanager.") => secret(&cas.secrets, call, &order).await,
        call => parameter(&cas, call, &order),
    }
}

/// The log of the function `countersign-token`, page by page.
fn log_events(order: &Value) -> Response {
    if order["logGroupName"] != "/aws/lambda/countersign-token" {
        return refusal(400, "ResourceNotFoundException", "no such log group");
    }
    let event = |line: &str| {
        let now = SystemClock.now();
        let time = humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + now - Duration::from_secs(90));
        let line = line.replace("2026-01-02T03:04:10Z", &time.to_string());
        json!({ "timestamp": u64::try_from(now.as_millis()).unwrap(), "message": line })
    };
    let page: usize = order["nextToken"].as_str().map_or(0, |token| token.parse().unwrap());
    let line = AUDIT_LOG.lines().nth(page);
    answer(200, &json!({ "events": line.map(event).as_slice(), "nextToken": line.map(|_| (page + 1).to_string()) }))
}

fn parameter(cas: &Cas, call: &str, order: &Value) -> Response {
    let name = order["Name"].as_str().unwrap().to_owned();
    let mut parameters = cas.parameters.lock().unwrap();
    let found = parameters.get(&name).cloned();
    match (call, found) {
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

/// AWS Secrets Manager: the secrets of the stack `countersign`, without values.
async fn secret(secrets: &MemorySecrets, call: &str, order: &Value) -> Response {
    let text = |name: &str| order[name].as_str().unwrap_or_default();
    let name = text("SecretId");
    let missing = || refusal(400, "ResourceNotFoundException", "there is no such secret, or value");
    match call {
        "secretsmanager.DescribeSecret" if secrets.exists(name).await.unwrap() => answer(200, &json!({ "Name": name })),
        "secretsmanager.GetSecretValue" => {
            let selector = VersionSelector { id: None, stage: order["VersionStage"].as_str() };
            let Ok(version) = secrets.read(name, selector).await else { return missing() };
            let SecretValue::Text(value) = version.value else { return missing() };
            answer(200, &json!({ "Name": name, "VersionId": version.version_id, "SecretString": value.expose() }))
        }
        "secretsmanager.PutSecretValue" if secrets.exists(name).await.unwrap() => {
            let value = Secret::new(text("SecretString").to_owned());
            secrets.append(name, &value, text("ClientRequestToken")).await.unwrap();
            answer(200, &json!({ "Name": name, "VersionId": text("ClientRequestToken") }))
        }
        _ => missing(),
    }
}

/// Amazon S3: the bucket `countersign-bucket`, empty at first.
async fn object(Extension(objects): Extension<MemoryObjects>, Path(key): Path<String>) -> Response {
    match objects.read(&key, None, usize::MAX).await {
        Ok(Some(Object { bytes, etag })) => {
            Response::builder().header(header::ETAG, etag.0).body(Body::from(bytes.expose().clone())).unwrap()
        }
        _ => {
            let body = Body::from("<Error><Code>NoSuchKey</Code><Message>there is none</Message></Error>");
            Response::builder().status(404).body(body).unwrap()
        }
    }
}

async fn put_object(Extension(objects): Extension<MemoryObjects>, Path(key): Path<String>, body: Bytes) -> Response {
    objects.put(&key, body.to_vec());
    Response::builder().header(header::ETAG, "\"new\"").body(Body::empty()).unwrap()
}
