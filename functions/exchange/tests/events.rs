//! The events in `events/exchange`, through the same adapter as on AWS Lambda.
#![allow(clippy::unwrap_used, clippy::panic)]

mod fixture;

use std::{fs, path::Path};

use fixture::World;
use lambda_http::{Body, Context, IntoResponse as _, RequestExt as _, Service as _};

/// Status, content type and body, which must be text: without binary media types the gateway passes base64 on as it is.
async fn answer(world: &World, name: &str) -> (u16, String, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events/exchange").join(name);
    let mut context = Context::default();
    context.request_id = "8476a536-e9f4-11e8-9739-2dfe598c3fcd".into();
    let request =
        lambda_http::request::from_str(&fs::read_to_string(path).unwrap()).unwrap().with_lambda_context(context);
    let response = web::lambda_service(world.router.clone()).call(request).await.unwrap();
    let content_type = response.headers()["content-type"].to_str().unwrap().to_owned();
    let status = response.status().as_u16();
    let Body::Text(text) = response.into_response().await.into_body() else { panic!("not text: {name}") };
    (status, content_type, text)
}

#[tokio::test]
async fn every_event_is_answered_as_text_to_the_gateways_caller() {
    let world = World::new();
    for (name, status, content_type) in [
        ("health.json", 200, "application/json"),
        ("manifest.json", 200, "application/json"),
        ("exchange.json", 200, "application/jose"),
        ("refused.json", 401, "application/problem+json"),
    ] {
        let found = answer(&world, name).await;
        assert_eq!((found.0, found.1.as_str()), (status, content_type), "{name}: {}", found.2);
    }
    let found = answer(&World::with_v1(), "v1_refused.json").await;
    assert_eq!(found, (404, "application/json".to_owned(), protocol::V1_REFUSAL.to_owned()));
    let rows = world.adapters.ledger.rows();
    let [row] = &rows[..] else { panic!("one exchange was released") };
    assert!(row.record.contains(&("source_ip", "192.0.2.7".to_owned())));
    assert!(row.record.contains(&("request_id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd".to_owned())));
}
