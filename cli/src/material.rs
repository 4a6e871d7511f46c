use std::{
    fs::{self, DirBuilder, File, Metadata, OpenOptions},
    io::{ErrorKind, Read as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use protocol::{Group, Manifest, Pool, PoolId, Secret};
use rustix::{
    fs::{Mode, OFlags},
    process::geteuid,
};

use crate::{
    Error, PoolFile,
    new_file::{Ownership, replace_in},
};

/// What was pulled: a manifest and the pool that it describes.
#[derive(Debug)]
pub struct Material {
    /// The public description.
    pub manifest: Manifest,
    /// The secret.
    pub pool: Pool,
}

/// What a client proves itself with.
#[derive(Debug)]
pub struct StoredMaterial {
    /// The public description.
    pub manifest: Manifest,
    /// The secret.
    pub pool: PoolFile,
}

/// Material on disk, in the layout of the broker's bucket: `groups/<group>/manifest.json` and
/// `groups/<group>/pools/<pool id>`.
///
/// Folders get mode 0700 and files 0600. A pool that group or others can read is refused, and so is a manifest that
/// they can write, and what belongs to another user than this one or root. Not checked: the folders above, and access
/// control lists.
#[derive(Clone, Debug)]
pub struct MaterialDir(PathBuf);

impl MaterialDir {
    /// Material in this folder, which need not exist yet.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The groups that there is material of.
    #[must_use]
    pub fn groups(&self) -> Vec<Group> {
        let Ok(entries) = fs::read_dir(self.0.join("groups")) else { return Vec::new() };
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
    }

    /// Reads a group's material.
    ///
    /// # Errors
    /// [`Error::NoMaterial`], [`Error::OpenToOthers`], [`Error::NotOwned`], [`Error::Damaged`], [`Error::File`].
    pub fn load(&self, group: &Group) -> Result<StoredMaterial, Error> {
        let manifest = self.manifest(group)?;
        let path = self.0.join(&manifest.pool.key);
        let pool = match PoolFile::open(&path, &manifest.pool) {
            Err(Error::File { source, .. }) if source.kind() == ErrorKind::NotFound => {
                return Err(Error::Damaged { path, reason: "the pool that the manifest names is missing" });
            }
            pool => pool?,
        };
        Ok(StoredMaterial { manifest, pool })
    }

    /// Reads a group's manifest.
    ///
    /// # Errors
    /// As [`MaterialDir::load`].
    pub fn manifest(&self, group: &Group) -> Result<Manifest, Error> {
        let path = self.0.join(Manifest::key(group));
        let json = match read(&path, Manifest::MAX_BYTES, Some(Closed::ToWriting)) {
            Err(Error::File { source, .. }) if source.kind() == ErrorKind::NotFound => {
                return Err(Error::NoMaterial(self.0.clone()));
            }
            json => json?,
        };
        Manifest::from_json(json.expose())
            .filter(|manifest| manifest.group == *group)
            .ok_or(Error::Damaged { path, reason: "not this group's manifest" })
    }

    /// Writes a group's material, each file at once and the manifest last, and deletes pools that are accepted no
    /// longer.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn save(&self, material: &Material) -> Result<(), Error> {
        let Material { manifest, pool } = material;
        let pool_path = self.0.join(&manifest.pool.key);
        replace(&pool_path, pool.expose())?;
        replace(&self.0.join(Manifest::key(&manifest.group)), &manifest.to_json())?;
        let previous = manifest.previous.as_ref().map(|previous| previous.id.as_str());
        let pools = pool_path.parent().and_then(|folder| fs::read_dir(folder).ok());
        for entry in pools.into_iter().flatten().flatten() {
            // Another process may be writing here, or deleting the same: its files are left alone, and a failure is its
            // success.
            let name = entry.file_name();
            let is_pool = name.to_str().is_some_and(|name| name.parse::<PoolId>().is_ok());
            if is_pool && name != manifest.pool.id.as_str() && previous.is_none_or(|previous| name != previous) {
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(())
    }
}

/// What others than the owner must not be able to do to a file.
#[derive(Clone, Copy)]
pub(crate) enum Closed {
    /// To write it.
    ToWriting,
    /// To read it or to write it.
    ToAll,
}

/// Reads a file of at most `limit` bytes. `closed` where it is this user's own; what others may do to a file that is pulled
/// from is its owner's affair.
pub(crate) fn read(path: &Path, limit: usize, closed: Option<Closed>) -> Result<Secret<Vec<u8>>, Error> {
    let (file, _) = open(path, closed)?;
    read_all(&file, path, limit)
}

/// Opens a file, which must be this user's or root's where it must be closed. The metadata are of the open file: what is
/// checked is what is read.
pub(crate) fn open(path: &Path, closed: Option<Closed>) -> Result<(File, Metadata), Error> {
    let failed = |source| Error::File { action: "read", path: path.to_owned(), source };
    // A pipe in the file's place must not be waited for.
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(Error::Damaged { path: path.to_owned(), reason: "not a file" });
    }
    let forbidden = match closed {
        None => return Ok((file, metadata)),
        Some(Closed::ToWriting) => 0o022,
        Some(Closed::ToAll) => 0o077,
    };
    if ![geteuid().as_raw(), 0].contains(&metadata.uid()) {
        return Err(Error::NotOwned { path: path.to_owned() });
    }
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & forbidden == 0 { Ok((file, metadata)) } else { Err(Error::OpenToOthers { path: path.to_owned(), mode }) }
}

/// All of a file, which must not be larger than `limit`.
pub(crate) fn read_all(file: &File, path: &Path, limit: usize) -> Result<Secret<Vec<u8>>, Error> {
    // Wiping touches all of the capacity.
    let length = file.metadata().map_or(limit, |metadata| usize::try_from(metadata.size()).unwrap_or(limit));
    let mut bytes = Vec::with_capacity(length.min(limit) + 1);
    let read = file.take(limit as u64 + 1).read_to_end(&mut bytes);
    let bytes = Secret::new(bytes);
    read.map_err(|source| Error::File { action: "read", path: path.to_owned(), source })?;
    if bytes.expose().len() > limit {
        return Err(Error::Damaged { path: path.to_owned(), reason: "too large" });
    }
    Ok(bytes)
}

/// Puts a file of mode 0600 in the place of another at once.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let name = path.file_name().ok_or(ErrorKind::InvalidFilename)?;
        let folder = rustix::fs::open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        replace_in(folder, name, bytes, Mode::RUSR | Mode::WUSR, Ownership::default())
    };
    write().map_err(|source| Error::File { action: "write", path: path.to_owned(), source })
}
