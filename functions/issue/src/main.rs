//! The Lambda function `issue`. Its event is an `Order`.

use std::env;

use aws::{Connection, DynamoDbLedger, S3Bucket, SecretsManager};
use issue::{Order, issue};
use issuer::{Config, Issuer};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use ports::{Settings, SystemClock};
use protocol::SystemRandom;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    web::log::start();
    let variable = |name: &str| env::var(name).ok();
    let settings = Settings::new(&variable);
    let connection = Connection::of_function().await;
    let objects = S3Bucket::new(&connection, settings.required("BUCKET")?);
    let issuer = Issuer::new(Config::read(settings)?, objects, SecretsManager::new(&connection));
    let ledger = DynamoDbLedger::new(&connection, settings.required("LEDGER_TABLE")?);
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Order>| {
        let request_id = &event.context.request_id;
        let issued = issue(event.payload, &issuer, &ledger, &SystemClock, &SystemRandom, request_id);
        // Boxed: the compiler gives up on the layout of futures that are nested this deep.
        Box::pin(issued).await.map_err(Error::from)
    }))
    .await
}
