//! The Lambda function `rotate`. Its event is an `Order`.

use std::env;

use aws::{Connection, ParameterStore, S3Bucket, SecretsManager};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use npm::NpmRegistry;
use ports::{SystemClock, chain};
use protocol::SystemRandom;
use rotate::{Adapters, Config, ConfigError, Order, Report, rotate};
use web::{Event, Outcome, audit};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    web::log::start();
    let config = Config::read(|name| env::var(name).ok())?;
    let connection = Connection::of_function().await.patient();
    let adapters = Adapters {
        objects: S3Bucket::new(&connection, env::var("BUCKET").map_err(|_| ConfigError("BUCKET"))?),
        secrets: SecretsManager::new(&connection),
        parameters: ParameterStore::new(&connection),
        registry: NpmRegistry(env::var("NPM_REGISTRY").unwrap_or_default()),
        clock: SystemClock,
    };
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Order>| {
        let request_id = &event.context.request_id;
        let outcome: Result<Report, Error> = match rotate(&config, event.payload, &adapters, &SystemRandom).await {
            Ok(report) => {
                let detail = serde_json::to_string(&report)?;
                audit(&Event { detail: Some(&detail), ..Event::new("rotate", Outcome::Granted, request_id) });
                Ok(report)
            }
            Err(error) => {
                let reason = chain(&error);
                audit(&Event { reason: Some(&reason), ..Event::new("rotate", Outcome::Failed, request_id) });
                Err(error.into())
            }
        };
        outcome
    }))
    .await
}
