//! The Lambda function `authorize`. Its event is a question of Amazon API Gateway.

use std::env;

use authorize::{Request, authorize};
use aws::{Connection, S3Bucket};
use issuer::PublicKeys;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use ports::{Settings, SystemClock};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    web::log::start();
    let variable = |name: &str| env::var(name).ok();
    let connection = Connection::of_function().await;
    let keys = PublicKeys::new(S3Bucket::new(&connection, Settings::new(&variable).required("BUCKET")?));
    ports::prefetch(async {
        if let Err(fault) = keys.live(&SystemClock).await {
            tracing::warn!(error = ports::chain(&fault), "nothing prefetched");
        }
    })
    .await;
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Request>| {
        authorize(&event.payload, &keys, &SystemClock, &event.context.request_id).await.map_err(Error::from)
    }))
    .await
}
