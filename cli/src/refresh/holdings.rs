use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ports::Clock;
use tokio::time::Instant;

use super::schedule::Moment;
use crate::{
    config::{Item, ItemName},
    refresh::ItemValue,
};

/// What this machine holds of the items: shared by what refreshes them, what delivers them and what serves them.
///
/// Past its use-by a value is not lent any more, whoever asks and whatever the refreshing does.
#[derive(Clone)]
pub struct Holdings {
    items: Arc<[Item]>,
    states: Arc<Mutex<BTreeMap<ItemName, ItemState>>>,
    clock: Arc<dyn Clock>,
}

/// How an item stands.
#[derive(Clone, Debug, Default)]
pub struct ItemState {
    /// What it is, if it ever came and did not end.
    pub value: Option<Arc<ItemValue>>,
    /// When the broker last gave it, Unix time in seconds.
    pub obtained_at: Option<u64>,
    /// From when on it may not be used, Unix time in seconds.
    pub use_by: Option<u64>,
    /// The same, by a clock that nobody sets: what is set back prolongs nothing.
    pub(super) ends: Option<Moment>,
    /// When it is asked for next, Unix time in seconds.
    pub due_at: u64,
    /// How often it failed since it last came.
    pub failures: u32,
}

impl Holdings {
    /// Nothing yet of these items.
    #[must_use]
    pub fn new(items: Vec<Item>, clock: Arc<dyn Clock>) -> Self {
        let states = items.iter().map(|item| (item.name.clone(), ItemState::default())).collect();
        Self { items: items.into(), states: Arc::new(Mutex::new(states)), clock }
    }

    /// The items, by name.
    #[must_use]
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// The time, Unix time in seconds.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.clock.unix_seconds()
    }

    /// The time by both clocks.
    pub(super) fn moment(&self) -> Moment {
        Moment { wall: self.clock.now(), steady: Instant::now() }
    }

    /// Lends an item, unless it is past its use-by.
    #[must_use]
    pub fn value(&self, name: &ItemName) -> Option<Arc<ItemValue>> {
        let now = self.now();
        let state = self.lock().get(name).cloned()?;
        if state.is_usable(now) { state.value } else { None }
    }

    /// How an item stands.
    #[must_use]
    pub fn state(&self, name: &ItemName) -> ItemState {
        self.lock().get(name).cloned().unwrap_or_default()
    }

    /// Whether every item is there and not past its use-by.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let now = self.now();
        self.lock().values().all(|state| state.is_usable(now))
    }

    pub(crate) fn update(&self, name: &ItemName, change: impl FnOnce(&mut ItemState)) {
        if let Some(state) = self.lock().get_mut(name) {
            change(state);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ItemName, ItemState>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ItemState {
    /// Whether there is a value that may be used at `now`, Unix time in seconds, and has not been held for longer than it had
    /// to live when it came, whatever the clock was set to since.
    #[must_use]
    pub fn is_usable(&self, now: u64) -> bool {
        let is_before_use_by = self.use_by.is_none_or(|use_by| now < use_by);
        self.value.is_some() && is_before_use_by && self.ends.is_none_or(|ends| Instant::now() < ends.steady)
    }

    /// When its value ends, where there is one.
    pub(super) fn ends_at(&self) -> Option<Moment> {
        self.ends.filter(|_| self.value.is_some())
    }

    /// Takes a value that came at `came` and may be used until `use_by`.
    pub(super) fn take(&mut self, value: Arc<ItemValue>, came: Moment, use_by: Moment) {
        self.value = Some(value);
        self.obtained_at = Some(came.unix_seconds());
        self.use_by = Some(use_by.unix_seconds());
        self.ends = Some(use_by);
        self.failures = 0;
    }
}
