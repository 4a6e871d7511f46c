use std::{
    env,
    path::{Path, PathBuf},
};

use rustix::{fs::Mode, process::geteuid};

use crate::{
    Error,
    deliver::{DeliveryError, folder::Folder},
    new_file::Ownership,
};

const NAME: &str = "countersign";

/// The folder that files with a relative path stand below: in memory, unless a configuration says otherwise.
#[derive(Clone, Debug)]
pub struct RuntimeFolder {
    path: PathBuf,
}

impl RuntimeFolder {
    /// The configured folder, or `countersign` in `$XDG_RUNTIME_DIR`, or `/run/countersign` for root where `/run` is in memory,
    /// or `/dev/shm/countersign-UID`. It is made, with mode 0700, where it is missing.
    ///
    /// # Errors
    /// [`DeliveryError::OpenToOthers`] where it, or a folder above it, is another user's or can be written by others;
    /// [`DeliveryError::ForeignLink`], [`DeliveryError::Folder`].
    pub fn new(configured: Option<&Path>) -> Result<Self, Error> {
        let path = configured.map_or_else(default_path, Path::to_owned);
        let path = std::path::absolute(&path).map_err(|source| DeliveryError::Folder { path, source })?;
        Folder::open(&path, Ownership::default(), Mode::RWXU)?;
        Ok(Self { path })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where a file is: itself where its path is absolute, else below this folder.
    #[must_use]
    pub fn resolve(&self, path: &Path) -> PathBuf {
        self.path.join(path)
    }

    /// Lets other users pass through to the files below that are theirs.
    pub(crate) fn let_pass(&self) -> Result<(), DeliveryError> {
        let folder = Folder::open(&self.path, Ownership::default(), Mode::RWXU)?;
        folder.let_pass().map_err(|source| DeliveryError::Folder { path: self.path.clone(), source })
    }
}

fn default_path() -> PathBuf {
    let session = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let run = || Some(PathBuf::from("/run")).filter(|run| geteuid().is_root() && is_in_memory(run));
    session
        .or_else(run)
        .map_or_else(|| PathBuf::from(format!("/dev/shm/{NAME}-{}", geteuid().as_raw())), |folder| folder.join(NAME))
}

fn is_in_memory(path: &Path) -> bool {
    let there = path.is_dir().then(|| Folder::open(path, Ownership::default(), Mode::RWXU));
    matches!(there, Some(Ok(folder)) if folder.is_in_memory().unwrap_or(false))
}
