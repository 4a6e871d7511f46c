use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use ports::chain;

use crate::{
    Error,
    config::{FileSink, Item, ItemName},
    deliver::{
        DeliveryError, RuntimeFolder,
        accounts::Accounts,
        placed_file::{Placed, PlacedFile},
        template::Template,
    },
    new_file::Ownership,
    refresh::{Holdings, ItemState, ItemValue},
};

/// The longest that a file goes without a look at what it was made of: an end that was put off is noted by then.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// The file of an item, and what stands in it.
pub(super) struct ItemFile {
    item: ItemName,
    place: PlacedFile,
    template: Option<Template>,
    /// The items that are in it, or would be.
    speaks_of: BTreeSet<ItemName>,
    /// What was put there, until it is deleted.
    placed: Option<Placed>,
    /// Of what it was made that is there, and until when that may be used.
    made_of: BTreeMap<ItemName, ItemState>,
    /// Whether it could not be written, and that is to be tried again.
    failed: bool,
    /// Whether it was last written, and stands there.
    is_delivered: bool,
    /// Whether something is there that is to be deleted: of an earlier run, or since it could not be.
    is_left: bool,
}

impl ItemFile {
    /// Prepares the file: its folder is made, and what an earlier run left unfinished is deleted.
    pub(super) fn new(
        item: &Item,
        sink: &FileSink,
        items: &[Item],
        runtime: &RuntimeFolder,
        accounts: Option<&Accounts>,
    ) -> Result<Self, Error> {
        let owner = match (&sink.owner, accounts) {
            (Some(owner), Some(accounts)) => accounts.resolve(owner)?,
            _ => Ownership::default(),
        };
        let template = sink.template.as_ref().map(|path| Template::read(path, items)).transpose()?;
        let place = PlacedFile::new(runtime.resolve(&sink.path), sink.mode, owner)?;
        if sink.path.is_relative() && place.is_for_others() {
            runtime.let_pass()?;
        }
        let folder = place.prepare()?;
        let path = place.path().display();
        if !folder.is_in_memory().unwrap_or(false) {
            tracing::warn!(item = %item.name, %path, "the file is not in memory: a disk may keep it");
        }
        if let Some(shared) = folder.shared() {
            let folder = shared.display();
            tracing::warn!(item = %item.name, %path, %folder, "others can put theirs in the file's place: they write the folder");
        }
        let mut speaks_of = template.as_ref().map(|template| template.speaks_of().clone()).unwrap_or_default();
        speaks_of.insert(item.name.clone());
        Ok(Self {
            item: item.name.clone(),
            place,
            template,
            speaks_of,
            placed: None,
            made_of: BTreeMap::new(),
            failed: false,
            is_delivered: false,
            is_left: true,
        })
    }

    pub(super) const fn item(&self) -> &ItemName {
        &self.item
    }

    pub(super) const fn is_delivered(&self) -> bool {
        self.is_delivered
    }

    pub(super) const fn has_failed(&self) -> bool {
        self.failed
    }

    pub(super) const fn is_left(&self) -> bool {
        self.is_left
    }

    pub(super) fn speaks_of(&self, names: &[ItemName]) -> bool {
        names.iter().any(|name| self.speaks_of.contains(name))
    }

    /// Writes it, where it changes; whether it did.
    pub(super) fn write(&mut self, holdings: &Holdings) -> Result<bool, DeliveryError> {
        let written = self.render(holdings);
        // What is missing comes by a change of its own.
        self.failed = !matches!(written, Ok(_) | Err(DeliveryError::Missing { .. }));
        self.is_delivered = written.is_ok();
        written
    }

    fn render(&mut self, holdings: &Holdings) -> Result<bool, DeliveryError> {
        // Before they are lent, so that what changes meanwhile is taken for another than what is written.
        let mut made_of: BTreeMap<_, _> =
            holdings.items().iter().map(|item| (item.name.clone(), holdings.state(&item.name))).collect();
        let value = lend(holdings, &self.item)?;
        let (changed, placed) = match &self.template {
            None => self.place.place(value.expose())?,
            Some(template) => {
                let rendered = template.render(&self.item, holdings);
                self.speaks_of.extend(rendered.spoke_of.iter().cloned());
                let placed = self.place.place(rendered.text?.expose().as_bytes())?;
                // It now holds these alone.
                self.speaks_of = rendered.spoke_of;
                self.speaks_of.insert(self.item.clone());
                placed
            }
        };
        made_of.retain(|name, _| self.speaks_of.contains(name));
        self.made_of = made_of;
        self.placed = Some(placed);
        self.is_left = false;
        Ok(changed)
    }

    /// Deletes it where what it was made of may not be used any more, whatever is held by now in its place.
    pub(super) fn withdraw_ended(&mut self, holdings: &Holdings) {
        for (name, state) in &mut self.made_of {
            let held = holdings.state(name);
            if is_same(&held, state) {
                *state = held;
            }
        }
        let now = holdings.now();
        if self.made_of.values().any(|state| !state.is_usable(now)) {
            tracing::warn!(item = %self.item, "what is in the file is past its use-by");
            self.delete_and_log();
        }
    }

    /// How long until what it was made of is to be looked at.
    pub(super) fn next_look(&self, now: u64) -> Option<Duration> {
        let wait = |state: &ItemState| state.use_by.map(|end| Duration::from_secs(end.saturating_sub(now)));
        self.made_of.values().map(|state| wait(state).unwrap_or(LOOK_EVERY).min(LOOK_EVERY)).min()
    }

    /// Deletes it, and does not try again to write it before there is a change.
    pub(super) fn withdraw(&mut self) {
        self.failed = false;
        self.delete_and_log();
    }

    /// Deletes what stands there. Where that fails it is left, to be tried again.
    pub(super) fn delete(&mut self) -> Result<(), DeliveryError> {
        self.is_delivered = false;
        self.made_of.clear();
        self.is_left = true;
        let deleted = match &self.placed {
            Some(placed) => self.place.take_back(placed)?,
            None => self.place.remove()?,
        };
        self.is_left = false;
        self.placed = None;
        if deleted {
            tracing::info!(item = %self.item, path = %self.place.path().display(), "file withdrawn");
        }
        Ok(())
    }

    pub(super) fn delete_and_log(&mut self) {
        if let Err(error) = self.delete() {
            tracing::error!(item = %self.item, error = chain(&error), "a file was not withdrawn");
        }
    }
}

pub(super) fn lend(holdings: &Holdings, item: &ItemName) -> Result<Arc<ItemValue>, DeliveryError> {
    holdings.value(item).ok_or_else(|| DeliveryError::Missing { item: item.clone() })
}

fn is_same(one: &ItemState, other: &ItemState) -> bool {
    one.value.as_ref().zip(other.value.as_ref()).is_some_and(|(one, other)| one.is_same(other))
}
