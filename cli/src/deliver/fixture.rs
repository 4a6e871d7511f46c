//! Items and what came of them, for tests.

use std::{path::Path, sync::Arc, time::Duration};

use ports::memory::ManualClock;
use protocol::{AccessToken, AwsCredentials, Grant, Secret, SecretGrant, SecretValue, TokenType};
use tempfile::TempDir;

use crate::{
    closed,
    config::{FileMode, FileSink, Item, ItemName, Source},
    deliver::{Delivery, RuntimeFolder},
    refresh::{Holdings, ItemValue},
};

pub(crate) const NOW: u64 = 1_800_000_000;
/// Another user than those that run tests.
pub(crate) const STRANGER: u32 = 23_456;

/// A machine that needs some items.
pub(crate) struct Machine {
    pub(crate) folder: TempDir,
    pub(crate) runtime: RuntimeFolder,
    pub(crate) holdings: Holdings,
    pub(crate) clock: ManualClock,
}

impl Machine {
    pub(crate) fn new(items: Vec<Item>) -> Self {
        let folder = closed::folder();
        let runtime = RuntimeFolder::new(Some(&folder.path().join("run"))).unwrap();
        let clock = ManualClock::new(NOW);
        Self { folder, runtime, holdings: Holdings::new(items, Arc::new(clock.clone())), clock }
    }

    pub(crate) fn delivery(&self) -> Delivery {
        Delivery::new(self.holdings.clone(), &self.runtime).unwrap()
    }

    /// The item comes as this text, a version of its own, and may be used for an hour.
    pub(crate) fn comes(&self, item: &str, text: &str) {
        let value = SecretValue::Text(Secret::new(text.to_owned()));
        let (id, version_id) = ("id".into(), text.to_owned());
        self.comes_as(item, Grant::Secret(SecretGrant { id, version_id, version_stages: Vec::new(), value }));
    }

    pub(crate) fn comes_as(&self, item: &str, grant: Grant) {
        let source = &self.holdings.items().iter().find(|known| known.name.as_str() == item).unwrap().source;
        let value = Arc::new(ItemValue::new(source, Arc::new(grant)).unwrap());
        let use_by = Some(self.holdings.now() + 3600);
        self.holdings.update(&name(item), |state| {
            state.value = Some(value);
            state.use_by = use_by;
        });
    }

    /// A file beside the runtime folder, as a configuration's writer makes it.
    pub(crate) fn given(&self, name: &str, text: &str) -> std::path::PathBuf {
        let path = self.folder.path().join(name);
        closed::write(&path, text);
        path
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.runtime.resolve(Path::new(name))).unwrap()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.runtime.resolve(Path::new(name)).exists()
    }
}

pub(crate) fn item(text: &str) -> Item {
    let source = Source::Secret { id: text.to_owned(), version_id: None, version_stage: None, member: None };
    Item {
        name: name(text),
        source,
        variable: None,
        file: None,
        stdin: false,
        keep: Duration::from_secs(86_400),
        on_change: true,
    }
}

pub(crate) fn item_in_file(name: &str, path: impl AsRef<Path>) -> Item {
    Item { file: Some(file(path)), ..item(name) }
}

pub(crate) fn item_by_template(name: &str, path: &str, template: &Path) -> Item {
    Item { file: Some(FileSink { template: Some(template.to_owned()), ..file(path) }), ..item(name) }
}

pub(crate) fn file(path: impl AsRef<Path>) -> FileSink {
    FileSink { path: path.as_ref().to_owned(), mode: FileMode::OWNER_READS, owner: None, template: None }
}

pub(crate) fn name(text: &str) -> ItemName {
    text.parse().unwrap()
}

pub(crate) fn names(texts: &[&str]) -> Vec<ItemName> {
    texts.iter().map(|text| name(text)).collect()
}

pub(crate) fn secret(value: SecretValue) -> Grant {
    Grant::Secret(SecretGrant { id: "id".into(), version_id: "1".into(), version_stages: Vec::new(), value })
}

pub(crate) fn binary(bytes: &[u8]) -> Grant {
    secret(SecretValue::Binary(Secret::new(bytes.to_vec())))
}

pub(crate) fn credentials() -> Grant {
    Grant::Aws(AwsCredentials {
        role: "nightly".into(),
        access_key_id: "ASIAEXAMPLE".into(),
        secret_access_key: Secret::new("secret/key".into()),
        session_token: Secret::new("session==".into()),
        expires_at: NOW + 900,
    })
}

pub(crate) fn access_token() -> Grant {
    let access_token = Secret::new("a.b.c".into());
    Grant::AccessToken(AccessToken { access_token, token_type: TokenType::Bearer, expires_at: NOW + 900 })
}
