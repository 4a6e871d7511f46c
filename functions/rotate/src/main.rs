//! The Lambda function `rotate`. Its event is an `Order`.

use std::env;

use aws::{Connection, ParameterStore, S3Bucket, SecretsManager};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use npm::NpmRegistry;
use ports::{Settings, SystemClock};
use protocol::SystemRandom;
use rotate::{Adapters, Config, Order, record, rotate};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    web::log::start();
    let variable = |name: &str| env::var(name).ok();
    let settings = Settings::new(&variable);
    let config = Config::read(settings)?;
    let connection = Connection::of_function().await.patient();
    let adapters = Adapters {
        objects: S3Bucket::new(&connection, settings.required("BUCKET")?),
        secrets: SecretsManager::new(&connection),
        parameters: ParameterStore::new(&connection),
        registry: NpmRegistry(settings.optional("NPM_REGISTRY").unwrap_or_default()),
        clock: SystemClock,
    };
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Order>| {
        let ended = rotate(&config, event.payload, &adapters, &SystemRandom).await;
        record(&ended, &event.context.request_id);
        Ok::<_, Error>(ended?)
    }))
    .await
}
