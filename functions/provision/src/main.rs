//! The Lambda function `provision`; off Lambda, the same routes on a port of this machine (`LISTEN`).

use std::{env, sync::Arc};

use aws::{Connection, DynamoDbLedger, Iot, ParameterStore, PrivateCas, S3Bucket};
use ports::{Settings, SystemClock};
use provision::{Adapters, Config, Ports, Service, router};

struct Aws;

impl Ports for Aws {
    type Objects = S3Bucket;
    type Ledger = DynamoDbLedger;
    type Parameters = ParameterStore;
    type Iot = Iot;
    type PrivateCas = PrivateCas;
    type Clock = SystemClock;
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    web::log::start();
    let variable = |name: &str| env::var(name).ok();
    let settings = Settings::new(&variable);
    let config = Config::read(settings)?;
    let connection = Connection::of_function().await;
    let adapters = Adapters::<Aws> {
        objects: S3Bucket::new(&connection, config.bucket.clone()),
        ledger: DynamoDbLedger::new(&connection, settings.required("LEDGER_TABLE")?),
        parameters: ParameterStore::new(&connection),
        iot: Iot::new(&connection),
        private_cas: PrivateCas::new(connection),
        clock: SystemClock,
    };
    let service = Arc::new(Service::new(config, adapters));
    service.prefetch().await;
    web::run(router(service)).await
}
