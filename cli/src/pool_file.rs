use std::{
    fs::File,
    io,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use protocol::{INTERVAL_BYTES, MAX_POOL_BYTES, MIN_POOL_BYTES, Pool, PoolEntry, ReadPool, Secret};

use crate::{
    Error,
    material::{Closed, open, read_all},
};

/// A pool that stays on disk: a proof reads 16 KiB of it.
#[derive(Debug)]
pub struct PoolFile {
    file: File,
    path: PathBuf,
    size: u64,
}

impl PoolFile {
    /// Opens the file that should be this pool.
    ///
    /// # Errors
    /// [`Error::OpenToOthers`], [`Error::NotOwned`]; [`Error::Damaged`] where the size is another; [`Error::File`]. Not checked: the bytes,
    /// see [`PoolFile::check`].
    pub(crate) fn open(path: &Path, entry: &PoolEntry) -> Result<Self, Error> {
        let (file, metadata) = open(path, Some(Closed::ToAll))?;
        let size = metadata.size();
        if size != entry.size || !(MIN_POOL_BYTES as u64..=MAX_POOL_BYTES as u64).contains(&size) {
            return Err(damaged(path));
        }
        Ok(Self { file, path: path.to_owned(), size })
    }

    /// Holds every byte against the entry.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::File`].
    pub(crate) fn check(&self, entry: &PoolEntry) -> Result<(), Error> {
        let mut bytes = read_all(&self.file, &self.path, MAX_POOL_BYTES)?;
        let pool = Pool::new(bytes.take()).map_err(|_| damaged(&self.path))?;
        if entry.describes(&pool) { Ok(()) } else { Err(damaged(&self.path)) }
    }
}

impl ReadPool for PoolFile {
    fn size(&self) -> u64 {
        self.size
    }

    fn interval(&self, offset: u64) -> io::Result<Secret<[u8; INTERVAL_BYTES]>> {
        let mut bytes = [0; INTERVAL_BYTES];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(Secret::new(bytes))
    }
}

fn damaged(path: &Path) -> Error {
    Error::Damaged { path: path.to_owned(), reason: "not the pool that the manifest describes" }
}
