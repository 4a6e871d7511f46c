use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::config::ItemName;

/// Items that are held and are not in their files: not yet, or since a file could not be written. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Unwritten(Arc<Mutex<BTreeSet<ItemName>>>);

impl Unwritten {
    /// Takes note of items that are to be written.
    pub fn add<'a>(&self, names: impl IntoIterator<Item = &'a ItemName>) {
        self.lock().extend(names.into_iter().cloned());
    }

    /// Takes note of items that are written.
    pub fn remove<'a>(&self, names: impl IntoIterator<Item = &'a ItemName>) {
        let mut unwritten = self.lock();
        for name in names {
            unwritten.remove(name);
        }
    }

    /// All are written.
    pub fn clear(&self) {
        self.lock().clear();
    }

    pub(crate) fn has(&self, name: &ItemName) -> bool {
        self.lock().contains(name)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<ItemName>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
