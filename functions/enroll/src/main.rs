//! The Lambda function `enroll`; off Lambda, the same routes on a port of this machine (`LISTEN`).

use std::{env, sync::Arc};

use aws::{Connection, DynamoDbLedger, S3Bucket, SecretsManager, Ses, Sns};
use enroll::{Adapters, Config, Ports, Service, SignedWebhook, router};
use ports::{Settings, SystemClock};

struct Aws;

impl Ports for Aws {
    type Objects = S3Bucket;
    type Secrets = SecretsManager;
    type Ledger = DynamoDbLedger;
    type Sms = Sns;
    type Mail = Ses;
    type Webhook = SignedWebhook<SecretsManager, SystemClock>;
    type Clock = SystemClock;
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    web::log::start();
    let variable = |name: &str| env::var(name).ok();
    let settings = Settings::new(&variable);
    let config = Config::read(settings)?;
    let connection = Connection::of_function().await;
    let secrets = SecretsManager::new(&connection);
    let adapters = Adapters::<Aws> {
        objects: S3Bucket::new(&connection, settings.required("BUCKET")?),
        ledger: DynamoDbLedger::new(&connection, settings.required("LEDGER_TABLE")?),
        sms: Sns::new(&connection, settings.optional("SMS_SENDER_ID")),
        mail: settings.optional("MAIL_SENDER").map(|sender| Ses::new(&connection, sender)),
        webhook: SignedWebhook::read(settings, secrets.clone(), SystemClock)?,
        secrets,
        clock: SystemClock,
    };
    let service = Arc::new(Service::new(config, adapters));
    service.prefetch().await;
    web::run(router(service)).await
}
