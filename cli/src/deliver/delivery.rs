use std::{os::fd::OwnedFd, path::Path, time::Duration};

use ports::chain;
use protocol::Secret;

use crate::{
    Error,
    config::ItemName,
    deliver::{
        DeliveryError, RuntimeFolder,
        accounts::Accounts,
        item_file::{ItemFile, lend},
        standard_input::standard_input,
        variables::variables,
    },
    refresh::Holdings,
};

/// What puts items where they go: files, variables, standard input.
///
/// A file is put in its place at once, whole, with its mode and its owner, and only where it is not there as it should be. Its
/// temporary is closed to others until then. It is not there for longer than what it was made of may be used, also where it could
/// not be written anew, as long as [`Delivery::withdraw_ended`] is called when [`Delivery::next_look`] says so.
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
        for file in self.files.iter_mut().filter(|file| file.has_failed() || file.speaks_of(names)) {
            match file.write(&self.holdings) {
                Ok(changed) => rewritten.changed |= changed,
                Err(error) => rewritten.failures.push(error.into()),
            }
        }
        rewritten
    }

    /// Deletes what an earlier run left in the places of files that were not written yet.
    ///
    /// # Errors
    /// Why the first was not deleted: [`DeliveryError`]. All are tried.
    pub fn clear(&mut self) -> Result<(), Error> {
        let mut first = Ok(());
        for file in self.files.iter_mut().filter(|file| file.is_left()) {
            first = first.and(file.delete());
        }
        Ok(first?)
    }

    /// Deletes what is left of an earlier run, and what could not be deleted before. What cannot be deleted is logged.
    pub fn delete_left(&mut self) {
        self.files.iter_mut().filter(|file| file.is_left()).for_each(ItemFile::delete_and_log);
    }

    /// Deletes the files that are made of what may not be used any more. As long as an item's value is the one that is held, its end
    /// is the one that is held as well; what could not be written anew keeps its own.
    pub fn withdraw_ended(&mut self) {
        for file in &mut self.files {
            file.withdraw_ended(&self.holdings);
        }
    }

    /// How long until [`Delivery::withdraw_ended`] is to be called; not at all, where no file is there.
    #[must_use]
    pub fn next_look(&self) -> Option<Duration> {
        let now = self.holdings.now();
        self.files.iter().filter_map(|file| file.next_look(now)).min()
    }

    /// Whether something failed that can be tried again, or is left to be deleted.
    #[must_use]
    pub fn has_to_try_again(&self) -> bool {
        self.files.iter().any(|file| file.has_failed() || file.is_left())
    }

    /// The items that have files, and whether each file is there as it should be.
    pub fn delivered(&self) -> impl Iterator<Item = (&ItemName, bool)> {
        self.files.iter().map(|file| (file.item(), file.is_delivered()))
    }

    /// Whether a file is made of this item, or may be: its own, or another's template that speaks of it.
    #[must_use]
    pub fn speaks_of(&self, name: &ItemName) -> bool {
        self.files.iter().any(|file| file.speaks_of(std::slice::from_ref(name)))
    }

    /// Deletes the files that these items are in. What cannot be deleted is logged, and left.
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
