use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use rustix::fs::AtFlags;

use crate::{
    Error,
    config::{FileSink, Item},
    deliver::{DeliveryError, RuntimeFolder, accounts::Accounts, placed_file::PlacedFile, template::Template},
    new_file::{Ownership, replace_in},
};

/// What is written to try a folder.
const NAME: &str = ".countersign-doctor";

/// The runtime folder for a trial: where it was missing, it is gone again when this is.
pub(crate) struct RuntimeTrial {
    folder: RuntimeFolder,
    _made: Made,
}

/// Whether an item's file can be put where it goes.
pub(crate) struct Trial {
    /// Where that is.
    pub(crate) path: PathBuf,
    pub(crate) outcome: Result<Doubts, DeliveryError>,
}

/// What speaks against a place that files can be put at.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Doubts {
    /// It is not in memory.
    pub(crate) on_disk: bool,
    /// A mount's top folder on the way that others can write.
    pub(crate) shared: Option<PathBuf>,
}

/// Folders that were missing, the deepest first. What is empty of them is deleted at the end.
struct Made(Vec<PathBuf>);

impl RuntimeTrial {
    /// As [`RuntimeFolder::new`].
    ///
    /// # Errors
    /// As there.
    pub(crate) fn new(configured: Option<&Path>) -> Result<Self, Error> {
        let made = Made::of(&RuntimeFolder::place(configured));
        Ok(Self { folder: RuntimeFolder::new(configured)?, _made: made })
    }

    /// The folder.
    pub(crate) const fn folder(&self) -> &RuntimeFolder {
        &self.folder
    }

    /// Tries out where the files of these items go: owners, templates and folders are looked at as for a delivery, and an empty file
    /// is given mode and owner in each folder and deleted again.
    pub(crate) fn try_out(&self, items: &[Item]) -> Vec<Trial> {
        let sinks = items.iter().filter_map(|item| item.file.as_ref());
        let try_one = |sink: &FileSink| {
            let path = self.folder.resolve(&sink.path);
            Trial { outcome: try_file(sink, items, path.clone()), path }
        };
        sinks.map(try_one).collect()
    }
}

fn try_file(sink: &FileSink, items: &[Item], path: PathBuf) -> Result<Doubts, DeliveryError> {
    let owner = match &sink.owner {
        Some(owner) => Accounts::read(Path::new("/etc"))?.resolve(owner)?,
        None => Ownership::default(),
    };
    if let Some(template) = &sink.template {
        Template::read(template, items)?;
    }
    let made = Made::of(path.parent().unwrap_or(&path));
    let place = PlacedFile::new(path.clone(), sink.mode, owner)?;
    let folder = place.prepare()?;
    let mode = rustix::fs::Mode::from_raw_mode(sink.mode.bits());
    let written = replace_in(&folder, OsStr::new(NAME), b"", mode, owner);
    let written = written.map_err(|source| DeliveryError::Write { path, source });
    // Where it was not written, there is none.
    let _ = rustix::fs::unlinkat(&folder, NAME, AtFlags::empty());
    let doubts =
        Doubts { on_disk: !folder.is_in_memory().unwrap_or(false), shared: folder.shared().map(Path::to_owned) };
    drop(made);
    written.map(|()| doubts)
}

impl Made {
    /// What is missing of the way to a folder.
    fn of(folder: &Path) -> Self {
        Self(folder.ancestors().take_while(|folder| !folder.exists()).map(Path::to_owned).collect())
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for folder in &self.0 {
            // What is not empty, or was not made, is another's.
            let _ = fs::remove_dir(folder);
        }
    }
}
