//! The Lambda function `token`; off Lambda, the same routes on a port of this machine (`LISTEN`).

use std::{env, sync::Arc};

use aws::{Connection, DynamoDbLedger, S3Bucket, SecretsManager};
use ports::{Settings, SystemClock};
use token::{Adapters, Config, Ports, Service, router};

struct Aws;

impl Ports for Aws {
    type Objects = S3Bucket;
    type Secrets = SecretsManager;
    type Ledger = DynamoDbLedger;
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
        objects: S3Bucket::new(&connection, settings.required("BUCKET")?),
        secrets: SecretsManager::new(&connection),
        ledger: DynamoDbLedger::new(&connection, settings.required("LEDGER_TABLE")?),
        clock: SystemClock,
    };
    let service = Arc::new(Service::new(config, adapters));
    service.prefetch().await;
    web::run(router(service)).await
}
