use std::{
    ffi::OsString,
    fs::File,
    io::{self, ErrorKind, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Component, Path, PathBuf},
};

use protocol::Secret;
use rustix::{
    fs::{AtFlags, FileType, Gid, Mode, OFlags},
    io::Errno,
    process::{getegid, geteuid},
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

/// A file that was put in its place. It is known by its inode, in the folder that it was put into.
#[derive(Debug)]
pub(crate) struct Placed {
    folder: Folder,
    device: u64,
    inode: u64,
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
        self.place(bytes).map(|(changed, _)| changed)
    }

    /// As [`PlacedFile::put`], and tells of the file that is there then.
    ///
    /// # Errors
    /// As [`PlacedFile::put`].
    pub(crate) fn place(&self, bytes: &[u8]) -> Result<(bool, Placed), DeliveryError> {
        let folder = self.open_folder()?;
        // What cannot be read is replaced.
        let changed = !(self.there(&folder)? && self.holds(&folder, bytes).unwrap_or(false));
        let failed = |source| DeliveryError::Write { path: self.path.clone(), source };
        if changed {
            self.replace(&folder, bytes).map_err(failed)?;
        }
        let stat = rustix::fs::statat(&folder, &self.name, AtFlags::SYMLINK_NOFOLLOW);
        let stat = stat.map_err(|error| failed(error.into()))?;
        Ok((changed, Placed { folder, device: stat.st_dev, inode: stat.st_ino }))
    }

    fn replace(&self, folder: &Folder, bytes: &[u8]) -> io::Result<()> {
        let owner = Ownership { group: Some(self.group()), ..self.owner };
        replace_in(folder, &self.name, bytes, self.mode, owner)
    }

    /// Deletes what was put there; whether something was there. Whoever owns or writes the folders on the way by now: what is
    /// deleted is the file that was put there, out of the folder that it was put into. What stands there in its place is deleted as
    /// by [`PlacedFile::remove`].
    ///
    /// # Errors
    /// As [`PlacedFile::remove`].
    pub(crate) fn take_back(&self, placed: &Placed) -> Result<bool, DeliveryError> {
        let failed = |error: Errno| DeliveryError::Delete { path: self.path.clone(), source: error.into() };
        match rustix::fs::statat(&placed.folder, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if (stat.st_dev, stat.st_ino) == (placed.device, placed.inode) => {
                rustix::fs::unlinkat(&placed.folder, &self.name, AtFlags::empty()).map_err(failed)?;
                Ok(true)
            }
            Ok(_) => self.remove(),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(failed(error)),
        }
    }

    /// Deletes it; whether it was there. What is no file is left.
    ///
    /// # Errors
    /// As [`Folder::open`], and [`DeliveryError::NoFile`], [`DeliveryError::Delete`].
    pub(crate) fn remove(&self) -> Result<bool, DeliveryError> {
        let folder = match Folder::open(&self.folder, self.owner, None) {
            Err(DeliveryError::Folder { source, .. }) if source.kind() == ErrorKind::NotFound => return Ok(false),
            folder => folder?,
        };
        if !self.there(&folder)? {
            return Ok(false);
        }
        match rustix::fs::unlinkat(&folder, &self.name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(DeliveryError::Delete { path: self.path.clone(), source: error.into() }),
        }
    }

    /// Where no group is named it is this process's, also where the folder would give its own.
    fn group(&self) -> Gid {
        self.owner.group.unwrap_or_else(getegid)
    }

    fn open_folder(&self) -> Result<Folder, DeliveryError> {
        let mode = if self.is_for_others() { Mode::RWXU | Mode::XGRP | Mode::XOTH } else { Mode::RWXU };
        Folder::open(&self.folder, self.owner, Some(mode))
    }

    /// Whether a file is there. Anything else in its place is an error: a device, a pipe, a folder, and a link, which whoever
    /// made it wants kept.
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
            && metadata.gid() == self.group().as_raw()
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

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, Permissions},
        os::unix::fs::{PermissionsExt as _, chown, symlink},
        sync::atomic::{AtomicBool, Ordering},
        thread,
    };

    use rustix::fs::{Gid, Uid};
    use tempfile::TempDir;

    use super::*;
    use crate::{closed, deliver::fixture::STRANGER};

    fn place(path: &Path) -> PlacedFile {
        PlacedFile::new(path.to_owned(), FileMode::OWNER_READS, Ownership::default()).unwrap()
    }

    fn place_for(path: &Path, mode: &str, user: u32, group: u32) -> PlacedFile {
        let owner = Ownership { user: Some(Uid::from_raw(user)), group: Some(Gid::from_raw(group)) };
        PlacedFile::new(path.to_owned(), mode.parse().unwrap(), owner).unwrap()
    }

    fn names(folder: &TempDir) -> Vec<String> {
        let entries = fs::read_dir(folder.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn is_no_file<T>(result: &Result<T, DeliveryError>) -> bool {
        matches!(result, Err(DeliveryError::NoFile { .. }))
    }

    #[test]
    fn what_is_no_file_is_neither_opened_nor_replaced_nor_deleted() {
        let folder = closed::folder();
        let target = folder.path().join("target");
        fs::write(&target, "theirs").unwrap();
        let at = |name| folder.path().join(name);
        symlink(&target, at("link")).unwrap();
        symlink(at("nothing"), at("dangling")).unwrap();
        symlink("/dev/null", at("null")).unwrap();
        fs::create_dir(at("folder")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, at("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        for name in ["link", "dangling", "null", "folder", "pipe", "socket"] {
            let place = place(&at(name));
            assert!(is_no_file(&place.prepare()), "{name}");
            assert!(is_no_file(&place.put(b"ours")), "{name}");
            assert!(is_no_file(&place.remove()), "{name}");
            assert!(at(name).symlink_metadata().is_ok(), "{name}");
        }
        assert!(is_no_file(&place(Path::new("/dev/null")).put(b"ours")));
        assert_eq!(fs::read(&target).unwrap(), b"theirs");
        assert_eq!(names(&folder), ["dangling", "folder", "link", "null", "pipe", "socket", "target"]);
    }

    #[test]
    fn what_is_not_there_is_deleted_without_making_its_folder() {
        let folder = closed::folder();
        for path in ["a/b/db", "db"] {
            assert!(!place(&folder.path().join(path)).remove().unwrap());
        }
        assert!(names(&folder).is_empty());
    }

    #[test]
    fn another_name_of_the_file_keeps_what_it_had() {
        let folder = closed::folder();
        let (ours, theirs) = (folder.path().join("db"), folder.path().join("theirs"));
        fs::write(&theirs, "theirs").unwrap();
        fs::hard_link(&theirs, &ours).unwrap();
        let place = place(&ours);
        assert!(place.put(b"one").unwrap());
        assert_eq!(fs::read(&theirs).unwrap(), b"theirs");
        fs::hard_link(&ours, folder.path().join("second")).unwrap();
        assert!(place.put(b"one").unwrap(), "nobody else has a name of it");
        assert!(!place.put(b"one").unwrap());
        assert_eq!(fs::metadata(&ours).unwrap().nlink(), 1);
    }

    #[test]
    fn a_file_whose_mode_or_owner_was_changed_is_made_again() {
        let folder = closed::folder();
        let path = folder.path().join("db");
        let place = place(&path);
        place.put(b"one").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert!(place.put(b"one").unwrap());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o400);
        if geteuid().is_root() {
            chown(&path, Some(STRANGER), None).unwrap();
            assert!(place.put(b"one").unwrap());
            assert_eq!(fs::metadata(&path).unwrap().uid(), 0);
        }
        assert!(!place.put(b"one").unwrap());
    }

    #[test]
    fn a_folder_that_gives_its_group_gives_it_to_no_file() {
        if !geteuid().is_root() {
            return;
        }
        let folder = closed::folder();
        chown(folder.path(), None, Some(STRANGER)).unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o2755)).unwrap();
        let path = folder.path().join("db");
        let place = PlacedFile::new(path.clone(), "0440".parse().unwrap(), Ownership::default()).unwrap();
        place.put(b"one").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().gid(), getegid().as_raw());
        chown(&path, None, Some(STRANGER)).unwrap();
        assert!(place.put(b"one").unwrap());
        assert_eq!(fs::metadata(&path).unwrap().gid(), getegid().as_raw());
    }

    #[test]
    fn readers_find_a_whole_file_and_no_temporary_that_they_could_read() {
        let folder = closed::folder_in(if Path::new("/dev/shm").is_dir() { "/dev/shm" } else { "/tmp" });
        let path = folder.path().join("db");
        let root = geteuid().is_root();
        let place = if root { place_for(&path, "0444", STRANGER, STRANGER) } else { place(&path) };
        let contents = [vec![b'a'; 200_000], vec![b'b'; 100_000]];
        place.put(&contents[1]).unwrap();
        let done = AtomicBool::new(false);
        let (mut reads, mut temporaries) = (0, 0);
        thread::scope(|scope| {
            scope.spawn(|| {
                for round in 0..1000 {
                    assert!(place.put(&contents[round % 2]).unwrap());
                }
                done.store(true, Ordering::Release);
            });
            while !done.load(Ordering::Acquire) {
                let found = fs::read(&path).unwrap();
                assert!(contents.contains(&found), "{} bytes of {:?}", found.len(), found.first());
                reads += 1;
                for entry in fs::read_dir(folder.path()).unwrap().flatten() {
                    let Ok(metadata) = entry.metadata() else { continue };
                    if entry.file_name() != "db" {
                        temporaries += 1;
                        let closed = metadata.mode() & 0o7777 == 0o600;
                        // Beside a file that is ready to be renamed.
                        let ready = metadata.mode() & 0o444 != 0 && (!root || metadata.uid() == STRANGER);
                        assert!(closed || ready, "{:o} of {}", metadata.mode(), metadata.uid());
                    }
                }
            }
        });
        assert!(reads > 10 && temporaries > 0, "{reads} {temporaries}");
        assert_eq!(names(&folder), ["db"]);
    }

    #[test]
    fn a_write_that_fails_leaves_nothing_and_keeps_what_was_there() {
        if geteuid().is_root() {
            return;
        }
        let folder = closed::folder();
        let path = folder.path().join("db");
        place(&path).put(b"one").unwrap();
        let error = place_for(&path, "0400", STRANGER, STRANGER).put(b"two").unwrap_err();
        assert!(matches!(error, DeliveryError::Write { .. }), "{error:?}");
        assert_eq!((names(&folder), fs::read(&path).unwrap()), (vec!["db".to_owned()], b"one".to_vec()));
    }

    #[test]
    fn what_an_earlier_run_left_is_deleted_and_nothing_else() {
        let folder = closed::folder();
        let at = |name: &str| folder.path().join(name);
        let left = ".countersign-0123456789abcdef.new";
        let kept = [
            ".countersign-.new",
            ".countersign-0123456789abcde.new",
            ".countersign-0123456789abcdef",
            ".countersign-0123456789abcdeg.new",
            "countersign-0123456789abcdef.new",
            ".tmpAbCdEf",
        ];
        for name in kept.iter().chain([&left]) {
            fs::write(at(name), "").unwrap();
        }
        let mut kept = kept.map(str::to_owned).to_vec();
        fs::create_dir(at(".countersign-1111111111111111.new")).unwrap();
        symlink(at("x"), at(".countersign-2222222222222222.new")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, at(".countersign-3333333333333333.new"), FileType::Fifo, Mode::RWXU, 0)
            .unwrap();
        kept.extend(["1", "2", "3"].map(|digit| format!(".countersign-{}.new", digit.repeat(16))));
        let writing = File::create(at(".countersign-4444444444444444.new")).unwrap();
        writing.lock().unwrap();
        kept.push(".countersign-4444444444444444.new".to_owned());
        if geteuid().is_root() {
            for (digit, user) in [("5", STRANGER), ("6", STRANGER + 1)] {
                let name = format!(".countersign-{}.new", digit.repeat(16));
                fs::write(at(&name), "").unwrap();
                chown(at(&name), Some(user), None).unwrap();
            }
            kept.push(".countersign-6666666666666666.new".to_owned());
        }
        kept.sort();
        if geteuid().is_root() {
            place_for(&at("db"), "0400", STRANGER, STRANGER).prepare().unwrap();
        } else {
            place(&at("db")).prepare().unwrap();
        }
        assert_eq!(names(&folder), kept);
    }
}
