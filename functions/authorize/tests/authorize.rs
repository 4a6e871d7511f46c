//! The gateway's questions, in the form of its developer guide, and the answers to them.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

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
        let claims = Claims {
            issuer: "countersign".into(),
            subject: "group:web".into(),
            issued_at: NOW,
            expires_at: NOW + 600,
            network: network.parse().unwrap(),
            session: "c2Vzc2lvbg".into(),
            scope: "things:read things:write".parse().unwrap(),
        };
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
    for (network, source_ip) in
        [("192.0.2.7/32", "192.0.2.7"), ("192.0.2.0/24", "::ffff:192.0.2.9"), ("2001:db8::/32", "2001:db8::7")]
    {
        let answer = world.ask(&question(&format!("Bearer {}", world.token(network)), source_ip)).await.unwrap();
        assert_eq!(answer["principalId"], "group:web");
        assert_eq!(
            answer["policyDocument"],
            json!({
                "Version": "2012-10-17",
                "Statement": [{
                    "Action": ["execute-api:Invoke"],
                    "Effect": "Allow",
                    "Resource": ["arn:aws:execute-api:eu-west-1:123456789012:abcdef1234/prod/*"],
                }],
            })
        );
        let said = json!({ "sub": "group:web", "scope": "things:read things:write", "ses": "c2Vzc2lvbg" });
        assert_eq!(answer["context"], said);
    }
}

#[tokio::test]
async fn whatever_is_wrong_is_unauthorized_by_that_very_word() {
    let world = World::new();
    let token = world.token("192.0.2.7/32");
    let good = question(&format!("Bearer {token}"), "192.0.2.7");
    assert!(world.ask(&good).await.is_ok());
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
        ("no_arn", changed(|question| question["methodArn"] = json!(""))),
        ("an_arn_without_a_method", changed(|question| question["methodArn"] = json!("arn:aws:execute-api:x/prod"))),
    ] {
        let error = world.ask(&question).await.unwrap_err();
        assert!(matches!(error, NotAllowed::Unauthorized), "{name}");
        assert_eq!(error.to_string(), "Unauthorized", "{name}: the gateway makes a 401 of this text alone");
    }
    let foreign = World::new().token("192.0.2.7/32");
    assert!(world.ask(&question(&format!("Bearer {foreign}"), "192.0.2.7")).await.is_err());
    world.clock.advance(Duration::from_secs(600));
    assert!(world.ask(&good).await.is_err(), "it has ended");
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
