//! The gateway's questions, in the form of its developer guide, and the answers to them.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::{fs, path::Path, time::Duration};

use access_token::{Claims, SigningKey};
use authorize::{NotAllowed, Request, authorize};
use issuer::{PublicKeys, PublishedKeys};
use ports::memory::{Failing, ManualClock, MemoryObjects};
use serde_json::{Value, json};

const NOW: u64 = 1_800_000_000;

struct World {
    objects: MemoryObjects,
    keys: PublicKeys<MemoryObjects>,
    clock: ManualClock,
    key: SigningKey,
}

impl World {
    fn new() -> Self {
        let objects = MemoryObjects::default();
        let key = SigningKey::from_pem(SigningKey::generate().expose()).unwrap();
        objects.put(PublishedKeys::OBJECT, PublishedKeys::first(key.public().clone()).to_json());
        Self { keys: PublicKeys::new(objects.clone()), objects, clock: ManualClock::new(NOW), key }
    }

    fn token(&self, network: &str) -> String {
        self.sign(network, |_| {})
    }

    fn sign(&self, network: &str, change: fn(&mut Claims)) -> String {
        let mut claims = Claims {
            issuer: "countersign".into(),
            subject: "group:web".into(),
            issued_at: NOW,
            expires_at: NOW + 600,
            network: network.parse().unwrap(),
            session: "c2Vzc2lvbg".into(),
            scope: "things:read things:write".parse().unwrap(),
        };
        change(&mut claims);
        claims.sign(&self.key).expose().clone()
    }

    async fn ask(&self, question: &Value) -> Result<Value, NotAllowed> {
        let request: Request = serde_json::from_value(question.clone()).unwrap();
        let allowed = authorize(&request, &self.keys, &self.clock, "request-1").await?;
        Ok(serde_json::to_value(allowed).unwrap())
    }
}

/// Developer Guide, "Input to an API Gateway Lambda authorizer", `REQUEST`.
fn question(authorization: &str, source_ip: &str) -> Value {
    json!({
        "type": "REQUEST",
        "methodArn": "arn:aws:execute-api:eu-west-1:123456789012:abcdef1234/prod/GET/things/one",
        "resource": "/things/{name}",
        "path": "/things/one",
        "httpMethod": "GET",
        "headers": { "Authorization": authorization, "X-Forwarded-For": "10.0.0.1" },
        "multiValueHeaders": { "Authorization": [authorization], "X-Forwarded-For": ["10.0.0.1"] },
        "queryStringParameters": {},
        "multiValueQueryStringParameters": {},
        "pathParameters": { "name": "one" },
        "stageVariables": {},
        "requestContext": {
            "path": "/prod/things/one",
            "accountId": "123456789012",
            "resourceId": "abc123",
            "stage": "prod",
            "requestId": "chosen-by-the-caller",
            "identity": { "sourceIp": source_ip, "userAgent": "curl" },
            "resourcePath": "/things/{name}",
            "httpMethod": "GET",
            "apiId": "abcdef1234"
        }
    })
}

#[tokio::test]
async fn a_token_at_its_address_is_let_in_to_the_stage_with_what_it_says() {
    let world = World::new();
    for (network, source_ip) in [
        ("192.0.2.7/32", "192.0.2.7"),
        ("192.0.2.0/24", "::ffff:192.0.2.9"),
        ("2001:db8::/32", "2001:db8::7"),
        ("2001:db8::/32", "2001:0DB8:0:0:0:0:0:7"),
    ] {
        let answer = world.ask(&question(&format!("Bearer {}", world.token(network)), source_ip)).await.unwrap();
        // Developer Guide, "Output from an API Gateway Lambda authorizer".
        assert_eq!(
            answer,
            json!({
                "principalId": "group:web",
                "policyDocument": {
                    "Version": "2012-10-17",
                    "Statement": [{
                        "Action": ["execute-api:Invoke"],
                        "Effect": "Allow",
                        "Resource": ["arn:aws:execute-api:eu-west-1:123456789012:abcdef1234/prod/*"],
                    }],
                },
                "context": { "sub": "group:web", "scope": "things:read things:write", "ses": "c2Vzc2lvbg" },
                "usageIdentifierKey": null,
            })
        );
    }
}

#[tokio::test]
async fn what_is_allowed_is_this_apis_stage_whatever_the_path_says() {
    let world = World::new();
    let mut question = question(&format!("Bearer {}", world.token("192.0.2.7/32")), "192.0.2.7");
    for (arn, allowed) in [
        ("arn:aws:execute-api:eu-west-1:1:api/prod/GET/", "arn:aws:execute-api:eu-west-1:1:api/prod/*"),
        (
            "arn:aws:execute-api:eu-west-1:1:api/test-invoke-stage/GET/",
            "arn:aws:execute-api:eu-west-1:1:api/test-invoke-stage/*",
        ),
        ("arn:aws:execute-api:eu-west-1:1:api/prod/DELETE/a/../../*", "arn:aws:execute-api:eu-west-1:1:api/prod/*"),
        ("arn:aws-cn:execute-api:cn-north-1:1:api/v2/GET/prod/GET", "arn:aws-cn:execute-api:cn-north-1:1:api/v2/*"),
    ] {
        question["methodArn"] = json!(arn);
        let answer = world.ask(&question).await.unwrap();
        assert_eq!(answer["policyDocument"]["Statement"][0]["Resource"], json!([allowed]));
    }
}

#[tokio::test]
async fn the_event_for_sam_is_a_question_and_refused() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events/authorize/refused.json");
    let world = World::new();
    let mut event: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    assert_eq!(world.ask(&event).await.unwrap_err().to_string(), "Unauthorized");
    event["multiValueHeaders"]["Authorization"] = json!([format!("Bearer {}", world.token("192.0.2.7/32"))]);
    assert!(world.ask(&event).await.is_ok());
}

#[tokio::test]
async fn whatever_is_wrong_is_unauthorized_by_that_very_word() {
    let world = World::new();
    let token = world.token("192.0.2.7/32");
    let good = question(&format!("Bearer {token}"), "192.0.2.7");
    assert!(world.ask(&good).await.is_ok());
    let signed = |token: &str| question(&format!("Bearer {token}"), "192.0.2.7");
    let changed = |change: fn(&mut Value)| {
        let mut question = good.clone();
        change(&mut question);
        question
    };
    for (name, question) in [
        ("another_address", question(&format!("Bearer {token}"), "192.0.2.8")),
        ("the_address_of_a_header", question(&format!("Bearer {}", world.token("10.0.0.1/32")), "192.0.2.7")),
        ("another_scheme", question(&format!("Basic {token}"), "192.0.2.7")),
        ("no_scheme", question(&token, "192.0.2.7")),
        ("garbage", question("Bearer garbage", "192.0.2.7")),
        ("empty_header", question("", "192.0.2.7")),
        ("two_tokens", question(&format!("Bearer {token}, Bearer {token}"), "192.0.2.7")),
        ("another_key", signed(&World::new().token("192.0.2.7/32"))),
        ("expired", signed(&world.sign("192.0.2.7/32", |claims| claims.expires_at = NOW))),
        ("not_yet_valid", signed(&world.sign("192.0.2.7/32", |claims| claims.issued_at = NOW + 31))),
        ("altered", signed(&altered(&token))),
        ("another_address_v6", question(&format!("Bearer {token}"), "2001:db8::7")),
        ("no_address", changed(|question| question["requestContext"]["identity"] = json!({}))),
        (
            "an_address_that_is_none",
            changed(|question| question["requestContext"]["identity"]["sourceIp"] = json!("x")),
        ),
        ("no_header", changed(|question| question["multiValueHeaders"] = json!({ "Accept": ["*/*"] }))),
        (
            "two_headers",
            changed(|question| {
                let header = question["headers"]["Authorization"].clone();
                question["multiValueHeaders"]["Authorization"] = json!([header, header]);
            }),
        ),
        (
            "two_headers_in_two_cases",
            changed(|question| {
                let headers = &mut question["multiValueHeaders"];
                headers["authorization"] = headers["Authorization"].clone();
            }),
        ),
        (
            "no_identity",
            changed(|question| drop(question["requestContext"].as_object_mut().unwrap().remove("identity"))),
        ),
        ("a_null_arn", changed(|question| question["methodArn"] = Value::Null)),
        ("an_arn_of_something_else", changed(|question| question["methodArn"] = json!("api/prod/GET/things"))),
        ("no_arn", changed(|question| question["methodArn"] = json!(""))),
        ("an_arn_without_a_method", changed(|question| question["methodArn"] = json!("arn:aws:execute-api:x/prod"))),
    ] {
        let error = world.ask(&question).await.unwrap_err();
        assert!(matches!(error, NotAllowed::Unauthorized), "{name}");
        assert_eq!(error.to_string(), "Unauthorized", "{name}: the gateway makes a 401 of this text alone");
    }
    world.clock.advance(Duration::from_secs(600));
    assert!(world.ask(&good).await.is_err(), "it has ended");
}

/// The token with another first character of its signature.
fn altered(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let other = if signature.starts_with('A') { 'B' } else { 'A' };
    format!("{signed}.{other}{}", &signature[1..])
}

#[tokio::test]
async fn headers_are_found_in_either_case_and_form() {
    let world = World::new();
    let mut question = question(&format!("Bearer {}", world.token("192.0.2.7/32")), "192.0.2.7");
    question["multiValueHeaders"] = json!({ "authorization": question["multiValueHeaders"]["Authorization"] });
    assert!(world.ask(&question).await.is_ok());
    question["headers"] = json!({ "AUTHORIZATION": question["headers"]["Authorization"] });
    question.as_object_mut().unwrap().remove("multiValueHeaders");
    assert!(world.ask(&question).await.is_ok());
}

#[tokio::test]
async fn keys_that_cannot_be_read_are_another_error() {
    let world = World::new();
    world.objects.switch.set(Failing::Unavailable);
    let error =
        world.ask(&question(&format!("Bearer {}", world.token("192.0.2.7/32")), "192.0.2.7")).await.unwrap_err();
    assert!(matches!(error, NotAllowed::Fault(_)));
    assert_ne!(error.to_string(), "Unauthorized");
}
