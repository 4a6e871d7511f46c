use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Component, Path, PathBuf},
};

use protocol::Secret;
use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags},
    io::Errno,
    process::geteuid,
};

use crate::{
    config::FileMode,
    deliver::{DeliveryError, folder::Folder},
    new_file::{Ownership, replace_in, sweep},
};

/// Where one file is put, with its mode and its owner.
#[derive(Clone, Debug)]
pub(crate) struct PlacedFile {
    path: PathBuf,
    folder: PathBuf,
    name: OsString,
    mode: Mode,
    owner: Ownership,
}

impl PlacedFile {
    /// The file at an absolute path.
    ///
    /// # Errors
    /// [`DeliveryError::NoPath`] where the path is relative, goes up or ends in no name.
    pub(crate) fn new(path: PathBuf, mode: FileMode, owner: Ownership) -> Result<Self, DeliveryError> {
        let goes_up = path.components().any(|component| component == Component::ParentDir);
        match (path.parent(), path.file_name()) {
            (Some(folder), Some(name)) if path.is_absolute() && !goes_up => {
                let (folder, name) = (folder.to_owned(), name.to_owned());
                Ok(Self { folder, name, mode: Mode::from_raw_mode(mode.bits()), owner, path })
            }
            _ => Err(DeliveryError::NoPath { path }),
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether another user than this one is to read it.
    pub(crate) fn is_for_others(&self) -> bool {
        self.mode.intersects(Mode::RGRP | Mode::ROTH) || self.owner.user.is_some_and(|user| user != geteuid())
    }

    /// Makes its folder where there is none, and deletes what an earlier run left there unfinished.
    ///
    /// # Errors
    /// As [`Folder::open`], and [`DeliveryError::NoFile`].
    pub(crate) fn prepare(&self) -> Result<Folder, DeliveryError> {
        let folder = self.open_folder()?;
        self.there(&folder)?;
        if let Ok(folder) = folder.readable() {
            sweep(folder, self.owner);
        }
        Ok(folder)
    }

    /// Puts these bytes there at once, where they, the mode or the owner are not what is there; whether it did.
    ///
    /// # Errors
    /// As [`Folder::open`], and [`DeliveryError::NoFile`], [`DeliveryError::Write`].
    pub(crate) fn put(&self, bytes: &[u8]) -> Result<bool, DeliveryError> {
        let folder = self.open_folder()?;
        // What cannot be read is replaced.
        if self.there(&folder)? && self.holds(&folder, bytes).unwrap_or(false) {
            return Ok(false);
        }
        replace_in(&folder, &self.name, bytes, self.mode, self.owner)
            .map(|()| true)
            .map_err(|source| DeliveryError::Write { path: self.path.clone(), source })
    }

    /// Deletes it. What is no file is left.
    ///
    /// # Errors
    /// As [`Folder::open`], and [`DeliveryError::NoFile`], [`DeliveryError::Delete`].
    pub(crate) fn remove(&self) -> Result<(), DeliveryError> {
        let folder = self.open_folder()?;
        if !self.there(&folder)? {
            return Ok(());
        }
        match rustix::fs::unlinkat(&folder, &self.name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(DeliveryError::Delete { path: self.path.clone(), source: error.into() }),
        }
    }

    fn open_folder(&self) -> Result<Folder, DeliveryError> {
        let mode = if self.is_for_others() { Mode::RWXU | Mode::XGRP | Mode::XOTH } else { Mode::RWXU };
        Folder::open(&self.folder, self.owner, mode)
    }

    /// Whether a file is there. Anything else in its place is an error: a device, a pipe, a folder, and a link, which whoever made
    /// it wants kept.
    fn there(&self, folder: &Folder) -> Result<bool, DeliveryError> {
        match rustix::fs::statat(folder, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => Ok(true),
            Ok(_) => Err(DeliveryError::NoFile { path: self.path.clone() }),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(DeliveryError::Write { path: self.path.clone(), source: error.into() }),
        }
    }

    /// Whether what is there is just what would be put there. A second name of the file is somebody else's hold on it.
    fn holds(&self, folder: &Folder, bytes: &[u8]) -> io::Result<bool> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(folder, &self.name, flags, Mode::empty())?);
        let metadata = file.metadata()?;
        let user = self.owner.user.unwrap_or_else(geteuid);
        let same = metadata.is_file()
            && metadata.nlink() == 1
            && Mode::from_raw_mode(metadata.mode()) == self.mode
            && metadata.uid() == user.as_raw()
            && self.owner.group.is_none_or(|group| metadata.gid() == group.as_raw())
            && usize::try_from(metadata.len()).is_ok_and(|len| len == bytes.len());
        if !same {
            return Ok(false);
        }
        let mut there = Vec::with_capacity(bytes.len() + 1);
        let read = file.take(bytes.len() as u64 + 1).read_to_end(&mut there);
        let there = Secret::new(there);
        read.map(|_| there.expose() == bytes)
    }
}
