use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use minijinja::{
    Value,
    value::{Enumerator, Object},
};
use protocol::Grant;

use crate::{
    config::ItemName,
    refresh::{Holdings, ItemValue},
};

/// The items as one rendering of a template sees them: each is lent when it is first spoken of, and that is noted.
pub(crate) struct LentItems(Arc<Items>);

/// What was lent, and why something was not.
#[derive(Default)]
pub(crate) struct Lent {
    /// What was spoken of, there or not.
    pub(crate) values: BTreeMap<ItemName, Option<Value>>,
    /// The first that did not come, or is past its use-by.
    pub(crate) missing: Option<ItemName>,
    /// The first that is no text.
    pub(crate) not_text: Option<ItemName>,
}

impl LentItems {
    pub(crate) fn new(holdings: Holdings) -> Self {
        Self(Arc::new(Items { holdings, lent: Mutex::default() }))
    }

    /// What the template of this item sees: `value` and `items`.
    pub(crate) fn context(&self, own: &ItemName) -> Value {
        Value::from_object(Root { own: own.clone(), items: self.0.clone() })
    }

    /// What was lent so far.
    pub(crate) fn taken_back(&self) -> Lent {
        std::mem::take(&mut *self.0.lock())
    }
}

struct Root {
    own: ItemName,
    items: Arc<Items>,
}

struct Items {
    holdings: Holdings,
    lent: Mutex<Lent>,
}

impl Items {
    fn lend(&self, name: &str) -> Option<Value> {
        let name = &self.holdings.items().iter().find(|item| item.name.as_str() == name)?.name;
        let mut lent = self.lock();
        if let Some(value) = lent.values.get(name) {
            return value.clone();
        }
        let value = match self.holdings.value(name) {
            None => {
                lent.missing.get_or_insert(name.clone());
                None
            }
            Some(value) => {
                let value = for_template(&value);
                if value.is_none() {
                    lent.not_text.get_or_insert(name.clone());
                }
                value
            }
        };
        lent.values.insert(name.clone(), value.clone());
        value
    }

    fn lock(&self) -> MutexGuard<'_, Lent> {
        self.lent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn for_template(value: &ItemValue) -> Option<Value> {
    match value.grant() {
        Grant::Aws(credentials) => Some(Value::from_pairs([
            ("access_key_id", Value::from(credentials.access_key_id.as_str())),
            ("secret_access_key", Value::from(credentials.secret_access_key.expose().as_str())),
            ("session_token", Value::from(credentials.session_token.expose().as_str())),
            ("expires_at", Value::from(credentials.expires_at)),
        ])),
        Grant::Secret(_) | Grant::AccessToken(_) | Grant::EnrollmentToken(_) => {
            str::from_utf8(value.expose()).ok().map(Value::from)
        }
    }
}

impl Object for Root {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str()? {
            "value" => self.items.lend(self.own.as_str()),
            "items" => Some(Value::from_dyn_object(self.items.clone())),
            _ => None,
        }
    }
}

impl Object for Items {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.lend(key.as_str()?)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let names = self.holdings.items().iter().map(|item| Value::from(item.name.as_str()));
        Enumerator::Values(names.collect())
    }
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[elided]")
    }
}

impl fmt::Debug for Items {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[elided]")
    }
}
