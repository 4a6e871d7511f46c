use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Write as _},
    os::fd::{AsFd, BorrowedFd},
};

use protocol::{Random as _, SystemRandom};
use rustix::{
    fs::{AtFlags, Dir, FileType, FlockOperation, Gid, Mode, OFlags, Uid},
    io::Errno,
    process::geteuid,
};

/// How the names of files begin and end that are not whole yet.
const PREFIX: &str = ".countersign-";
const SUFFIX: &str = ".new";
/// The digits between the two.
const DIGITS: usize = 16;

/// Whom a file is for, where that is not who writes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ownership {
    pub(crate) user: Option<Uid>,
    pub(crate) group: Option<Gid>,
}

/// Puts a file in the place of another at once: who reads the place finds the old file or the new one.
///
/// It is made beside its place with mode 0600 and a name that was free, and gets its owner, then its mode, then its name. What
/// stands in the place is neither opened nor followed. Names are looked up in the open folder alone.
pub(crate) fn replace_in(
    folder: impl AsFd,
    name: &OsStr,
    bytes: &[u8],
    mode: Mode,
    owner: Ownership,
) -> io::Result<()> {
    let mut file = NewFile::create(folder.as_fd())?;
    file.file.write_all(bytes)?;
    let Ownership { user, group } = owner;
    let stat = rustix::fs::fstat(&file.file)?;
    // Some file systems know no owners, and refuse even what changes nothing.
    let user = user.filter(|user| user.as_raw() != stat.st_uid);
    let group = group.filter(|group| group.as_raw() != stat.st_gid);
    if user.is_some() || group.is_some() {
        rustix::fs::fchown(&file.file, user, group)?;
    }
    // After the owner: until then the file's group is the writer's.
    rustix::fs::fchmod(&file.file, mode)?;
    file.file.sync_all()?;
    file.rename(name)
}

/// Deletes what writers left that ended before they could rename it: files with such a name, of root, of this user or of `owner`,
/// that nobody is writing. What cannot be read or deleted stays.
pub(crate) fn sweep(folder: impl AsFd, owner: Ownership) {
    let folder = folder.as_fd();
    let Ok(entries) = Dir::read_from(folder) else { return };
    for entry in entries.flatten() {
        let left = entry.file_name().to_str().is_ok_and(is_unfinished) && is_left(folder, entry.file_name(), owner);
        if left && rustix::fs::unlinkat(folder, entry.file_name(), AtFlags::empty()).is_ok() {
            tracing::info!("deleted a file that an earlier run left unfinished");
        }
    }
}

fn is_unfinished(name: &str) -> bool {
    let digits = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX));
    digits.is_some_and(|digits| digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn is_left(folder: BorrowedFd<'_>, name: &std::ffi::CStr, owner: Ownership) -> bool {
    // A pipe in the file's place must not be waited for, and a link not followed.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(file) = rustix::fs::openat(folder, name, flags, Mode::empty()) else { return false };
    let Ok(stat) = rustix::fs::fstat(&file) else { return false };
    let owners = [Some(Uid::ROOT), Some(geteuid()), owner.user];
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
        && owners.contains(&Some(Uid::from_raw(stat.st_uid)))
        // Its writer, who may be another process, holds the lock.
        && rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
}

/// A file that is not whole yet. Dropped before it got its name, it is deleted.
struct NewFile<'a> {
    folder: BorrowedFd<'a>,
    name: String,
    file: File,
    renamed: bool,
}

impl<'a> NewFile<'a> {
    fn create(folder: BorrowedFd<'a>) -> io::Result<Self> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        loop {
            let mut random = [0; DIGITS / 2];
            SystemRandom.fill(&mut random);
            let name = format!("{PREFIX}{}{SUFFIX}", hex::encode(random));
            match rustix::fs::openat(folder, name.as_str(), flags, Mode::RUSR | Mode::WUSR) {
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
                Ok(file) => {
                    let file = Self { folder, name, file: file.into(), renamed: false };
                    // Where locks are not known, sweeping deletes nothing.
                    let _ = rustix::fs::flock(&file.file, FlockOperation::LockExclusive);
                    // Swept before it was locked.
                    if rustix::fs::fstat(&file.file)?.st_nlink > 0 {
                        return Ok(file);
                    }
                }
            }
        }
    }

    fn rename(mut self, to: &OsStr) -> io::Result<()> {
        rustix::fs::renameat(self.folder, self.name.as_str(), self.folder, to)?;
        self.renamed = true;
        Ok(())
    }
}

impl Drop for NewFile<'_> {
    fn drop(&mut self) {
        if !self.renamed {
            let _ = rustix::fs::unlinkat(self.folder, self.name.as_str(), AtFlags::empty());
        }
    }
}
