use std::collections::BTreeMap;

use crate::config::ItemName;

/// What happened to items.
///
/// Whoever is slow to receive gets fewer events, not old ones: of each item the last thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// They are other than they were: new, again there after an end, or for the first time after the start.
    Changed(Vec<ItemName>),
    /// They are past their use-by, and wiped.
    Ended(Vec<ItemName>),
}

/// Events that nobody received yet.
#[derive(Debug, Default)]
pub(super) struct Pending(BTreeMap<ItemName, bool>);

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn changed(&mut self, name: &ItemName) {
        self.0.insert(name.clone(), true);
    }

    pub(super) fn ended(&mut self, name: &ItemName) {
        self.0.insert(name.clone(), false);
    }

    /// The next event: what ended comes before what changed.
    pub(super) fn take(&mut self) -> Option<Event> {
        let ended = self.remove(false);
        if !ended.is_empty() {
            return Some(Event::Ended(ended));
        }
        let changed = self.remove(true);
        (!changed.is_empty()).then_some(Event::Changed(changed))
    }

    fn remove(&mut self, changed: bool) -> Vec<ItemName> {
        self.0.extract_if(.., |_, kind| *kind == changed).map(|(name, _)| name).collect()
    }
}
