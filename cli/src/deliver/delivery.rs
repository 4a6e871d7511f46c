use std::{collections::BTreeSet, os::fd::OwnedFd, path::Path, sync::Arc};

use ports::chain;
use protocol::Secret;

use crate::{
    Error,
    config::{FileSink, Item, ItemName},
    deliver::{
        DeliveryError, RuntimeFolder, accounts::Accounts, placed_file::PlacedFile, standard_input::standard_input,
        template::Template, variables::variables,
    },
    new_file::Ownership,
    refresh::{Holdings, ItemValue},
};

/// What puts items where they go: files, variables, standard input.
///
/// A file is put in its place at once, whole, with its mode and its owner, and only where it is not there as it should be. Its
/// temporary is closed to others until then.
pub struct Delivery {
    holdings: Holdings,
    files: Vec<ItemFile>,
}

/// What became of the files that were to be written.
#[derive(Debug, Default)]
pub struct Rewritten {
    /// Whether one is another than it was.
    pub changed: bool,
    /// Why others were not written. They keep what they had, and are tried again with the next change.
    pub failures: Vec<Error>,
}

struct ItemFile {
    item: ItemName,
    place: PlacedFile,
    template: Option<Template>,
    /// The items that are in it, or would be.
    speaks_of: BTreeSet<ItemName>,
    failed: bool,
}

impl Delivery {
    /// Prepares the delivery of these items: templates are read and parsed, owners looked up in `/etc/passwd` and `/etc/group`,
    /// folders made, and what an earlier run left unfinished is deleted. Files that are on a disk are warned about, and folders
    /// of mounts that others can write.
    ///
    /// # Errors
    /// [`DeliveryError`], of the configuration, of a folder or of what stands in a file's place.
    pub fn new(holdings: Holdings, runtime: &RuntimeFolder) -> Result<Self, Error> {
        Self::with_accounts(holdings, runtime, Path::new("/etc"))
    }

    /// Prepares the delivery to variables and standard input alone: no folder is looked for or made.
    #[must_use]
    pub const fn without_files(holdings: Holdings) -> Self {
        Self { holdings, files: Vec::new() }
    }

    pub(super) fn with_accounts(holdings: Holdings, runtime: &RuntimeFolder, etc: &Path) -> Result<Self, Error> {
        let sinks = || holdings.items().iter().filter_map(|item| Some((item, item.file.as_ref()?)));
        let accounts = sinks().any(|(_, sink)| sink.owner.is_some()).then(|| Accounts::read(etc)).transpose()?;
        let files: Result<Vec<_>, Error> = sinks()
            .map(|(item, sink)| ItemFile::new(item, sink, holdings.items(), runtime, accounts.as_ref()))
            .collect();
        Ok(Self { files: files?, holdings })
    }

    /// Writes the files that these items are in, where they change; whether one did. All are tried.
    ///
    /// # Errors
    /// Why the first was not written: [`DeliveryError`]. The others are logged.
    pub fn write(&mut self, names: &[ItemName]) -> Result<bool, Error> {
        let Rewritten { changed, failures } = self.rewrite(names);
        let mut failures = failures.into_iter();
        let first = failures.next();
        for failure in failures {
            tracing::error!(error = chain(&failure), "a file was not written");
        }
        first.map_or(Ok(changed), Err)
    }

    /// As [`Delivery::write`], and tells of each file that was not written.
    pub fn rewrite(&mut self, names: &[ItemName]) -> Rewritten {
        let mut rewritten = Rewritten::default();
        for file in self.files.iter_mut().filter(|file| file.failed || file.speaks_of(names)) {
            match file.write(&self.holdings) {
                Ok(changed) => rewritten.changed |= changed,
                Err(error) => rewritten.failures.push(error.into()),
            }
        }
        rewritten
    }

    /// Deletes the files that these items are in. What cannot be deleted is logged.
    pub fn withdraw(&mut self, names: &[ItemName]) {
        for file in self.files.iter_mut().filter(|file| file.speaks_of(names)) {
            file.withdraw();
        }
    }

    /// Deletes all files. What cannot be deleted is logged.
    pub fn withdraw_all(&mut self) {
        self.files.iter_mut().for_each(ItemFile::withdraw);
    }

    /// The variables of the items: one for each, three for a role.
    ///
    /// # Errors
    /// [`DeliveryError::Missing`], [`DeliveryError::NoVariable`].
    pub fn environment(&self) -> Result<Vec<(String, Secret<String>)>, Error> {
        let mut environment = Vec::new();
        for item in self.holdings.items() {
            if let Some(variable) = &item.variable {
                environment.extend(variables(&item.name, variable, &*lend(&self.holdings, &item.name)?)?);
            }
        }
        Ok(environment)
    }

    /// What a command reads from standard input, where an item goes there: memory that is sealed and rewound, for one command.
    ///
    /// # Errors
    /// [`DeliveryError::Missing`], [`DeliveryError::StandardInput`].
    pub fn stdin(&self) -> Result<Option<OwnedFd>, Error> {
        let Some(item) = self.holdings.items().iter().find(|item| item.stdin) else { return Ok(None) };
        let value = lend(&self.holdings, &item.name)?;
        Ok(Some(standard_input(value.expose()).map_err(DeliveryError::StandardInput)?))
    }
}

impl ItemFile {
    fn new(
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
        Ok(Self { item: item.name.clone(), place, template, speaks_of, failed: false })
    }

    fn speaks_of(&self, names: &[ItemName]) -> bool {
        names.iter().any(|name| self.speaks_of.contains(name))
    }

    fn write(&mut self, holdings: &Holdings) -> Result<bool, DeliveryError> {
        let written = self.render(holdings);
        // What is missing comes by a change of its own.
        self.failed = !matches!(written, Ok(_) | Err(DeliveryError::Missing { .. }));
        written
    }

    fn render(&mut self, holdings: &Holdings) -> Result<bool, DeliveryError> {
        let value = lend(holdings, &self.item)?;
        let Some(template) = &self.template else { return self.place.put(value.expose()) };
        let rendered = template.render(&self.item, holdings);
        self.speaks_of.extend(rendered.spoke_of.iter().cloned());
        let changed = self.place.put(rendered.text?.expose().as_bytes())?;
        // It now holds these alone.
        self.speaks_of = rendered.spoke_of;
        self.speaks_of.insert(self.item.clone());
        Ok(changed)
    }

    fn withdraw(&mut self) {
        self.failed = false;
        match self.place.remove() {
            Ok(false) => {}
            Ok(true) => tracing::info!(item = %self.item, path = %self.place.path().display(), "file withdrawn"),
            Err(error) => tracing::error!(item = %self.item, error = chain(&error), "a file was not withdrawn"),
        }
    }
}

fn lend(holdings: &Holdings, item: &ItemName) -> Result<Arc<ItemValue>, DeliveryError> {
    holdings.value(item).ok_or_else(|| DeliveryError::Missing { item: item.clone() })
}
