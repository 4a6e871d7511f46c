//! Enrolment: the function `enroll`, whose codes come by a webhook that the test reads.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::Router;
use ports::{
    Fault, PostWebhook, SystemClock, Webhook,
    memory::{MemoryLedger, MemoryMail, MemoryObjects, MemorySecrets, MemorySms},
};
use protocol::{Secret, SecretValue};
use serde_json::Value;
use step::{JwkKey, RegistrarConfig};

use super::{KEY_SECRET, Memory};

const CODE_KEY_SECRET: &str = "countersign/enroll/code-key";

/// Subjects with an address for every channel, one without any for the webhook; not there: `mallory`.
const SUBJECTS: &str = r#"{
    "alice": { "sms": "+391234567890", "mail": "alice@example.com", "webhook": "telegram:1" },
    "carol": { "webhook": "telegram:3" },
    "dave": { "webhook": "telegram:4" },
    "erin": { "webhook": "telegram:5" },
    "root": { "webhook": "telegram:0" },
    "bob": { "mail": "bob@example.com" }
}"#;

impl enroll::Ports for Memory {
    type Objects = MemoryObjects;
    type Secrets = MemorySecrets;
    type Ledger = MemoryLedger;
    type Sms = MemorySms;
    type Mail = MemoryMail;
    type Webhook = Codes;
    type Clock = SystemClock;
}

/// The codes that were sent by the webhook, the last of each subject; in files as well, where a folder is named.
#[derive(Clone, Debug, Default)]
pub struct Codes {
    sent: Arc<Mutex<BTreeMap<String, String>>>,
    folder: Arc<Mutex<Option<PathBuf>>>,
}

impl Codes {
    /// The code of a subject.
    pub fn of(&self, subject: &str) -> Option<String> {
        self.sent.lock().unwrap().get(subject).cloned()
    }

    /// From now on codes are written into this folder, each into a file of the subject's name.
    pub fn write_into(&self, folder: &Path) {
        fs::create_dir_all(folder).unwrap();
        *self.folder.lock().unwrap() = Some(folder.to_owned());
    }
}

impl PostWebhook for Codes {
    async fn prepare(&self) -> Result<(), Fault> {
        Ok(())
    }

    async fn post(&self, webhook: &Webhook) -> Result<(), Fault> {
        let told: Value = serde_json::from_str(webhook.body.expose()).unwrap();
        let [subject, code] = ["subject", "code"].map(|member| told["data"][member].as_str().unwrap().to_owned());
        if let Some(folder) = &*self.folder.lock().unwrap() {
            fs::write(folder.join(&subject), &code).unwrap();
        }
        self.sent.lock().unwrap().insert(subject, code);
        Ok(())
    }
}

pub(super) fn router(objects: &MemoryObjects, secrets: &MemorySecrets, codes: &Codes) -> Router {
    objects.put("subjects/people.json", SUBJECTS);
    secrets.put(CODE_KEY_SECRET, SecretValue::Text(Secret::new("k0".repeat(32))));
    secrets.put("countersign/step-ca/jwk", SecretValue::Text(JwkKey::generate().unwrap().to_json()));
    let config = enroll::Config {
        registrar: RegistrarConfig { secrets: "countersign/step-ca".into(), audit_days: 1 },
        key_secret: KEY_SECRET.into(),
        code_key_secret: CODE_KEY_SECRET.into(),
        rate: 10_000,
        codes_per_day: 10_000,
        grid: Duration::ZERO,
        sending: Duration::from_secs(5),
        deadline: Duration::from_secs(10),
    };
    let adapters = enroll::Adapters::<Memory> {
        objects: objects.clone(),
        secrets: secrets.clone(),
        ledger: MemoryLedger::default(),
        sms: MemorySms::default(),
        mail: None,
        webhook: Some(codes.clone()),
        clock: SystemClock,
    };
    super::without_fallback(enroll::router(Arc::new(enroll::Service::new(config, adapters))))
}
