use std::{
    collections::VecDeque,
    ffi::{CString, OsStr, OsString},
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStringExt as _,
    },
    path::{Component, Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, FileType, Gid, Mode, OFlags, Stat, StatxAttributes, StatxFlags, Uid},
    io::Errno,
    process::geteuid,
};

use crate::{deliver::DeliveryError, new_file::Ownership};

/// How many links a path may lead through, as Linux has it.
const MAX_LINKS: usize = 40;
/// What `statfs` calls the file systems that are in memory: tmpfs and ramfs.
const IN_MEMORY: [i64; 2] = [0x0102_1994, 0x8584_58f6];

const FOLDER: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A folder that files are put into, held open, so that what is done in it is done in this one.
///
/// Each folder on the path must belong to root, to this user or to whom the file is for, and nobody else may be able to
/// rename what is in it: it is not writable by others, or has the sticky bit. A link must be root's or this user's. So nobody
/// else chooses where a file is put. A group may write where it is the one that the file is for, and no other: who else is in this
/// process's own group is not known. The top folder of a mount may be open to others, as the volumes that containers share are:
/// who mounted it chose whom it is for. Not checked: access control lists.
#[derive(Debug)]
pub(crate) struct Folder {
    fd: OwnedFd,
    /// A mount's top folder on the path, or this one, that others can write.
    shared: Option<PathBuf>,
}

/// Who can be trusted with a folder besides root.
#[derive(Clone, Copy)]
struct Trusted {
    users: [Option<Uid>; 3],
    group: Option<Gid>,
}

impl Folder {
    /// Opens the folder at an absolute path. Those that are missing are made where a mode is given, with that mode.
    ///
    /// # Errors
    /// [`DeliveryError::OpenToOthers`], [`DeliveryError::ForeignLink`], [`DeliveryError::Folder`].
    pub(crate) fn open(path: &Path, owner: Ownership, missing: Option<Mode>) -> Result<Self, DeliveryError> {
        let failed = |source: Errno| DeliveryError::Folder { path: path.to_owned(), source: source.into() };
        let trusted = Trusted::new(owner);
        let (mut here, mut folder) = (PathBuf::from("/"), root().map_err(failed)?);
        let mut shared = None;
        trusted.check(&folder, &here, &mut shared)?;
        let mut names = names(path);
        let mut links = 0;
        while let Some(name) = names.pop_front() {
            let next = open_or_make(folder.as_fd(), &name, missing).map_err(failed)?;
            let stat = rustix::fs::fstat(&next).map_err(failed)?;
            if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
                if !trusted.made_link(&stat) {
                    return Err(DeliveryError::ForeignLink { path: here.join(name) });
                }
                links += 1;
                if links > MAX_LINKS {
                    return Err(failed(Errno::LOOP));
                }
                let target = rustix::fs::readlinkat(&next, "", Vec::new()).map_err(failed)?;
                let target = PathBuf::from(OsString::from_vec(CString::into_bytes(target)));
                if target.is_absolute() {
                    (here, folder) = (PathBuf::from("/"), root().map_err(failed)?);
                }
                for name in self::names(&target).into_iter().rev() {
                    names.push_front(name);
                }
                continue;
            }
            here =
                if name == ".." { here.parent().map_or_else(|| here.clone(), Path::to_owned) } else { here.join(name) };
            folder = next;
            trusted.check(&folder, &here, &mut shared)?;
        }
        Ok(Self { fd: folder, shared })
    }

    /// A mount's top folder, this one or one above it, in which others can put theirs in the place of what is there.
    pub(crate) fn shared(&self) -> Option<&Path> {
        self.shared.as_deref()
    }

    /// Whether what is in it is in memory, and on no disk. What the kernel then swaps out is not asked.
    pub(crate) fn is_in_memory(&self) -> io::Result<bool> {
        Ok(is_memory(rustix::fs::fstatfs(&self.fd)?.f_type))
    }

    /// Lets others pass through this folder, not look into it, where it is this user's.
    pub(crate) fn let_pass(&self) -> io::Result<()> {
        let readable = self.readable()?;
        let stat = rustix::fs::fstat(&readable)?;
        let mode = Mode::from_raw_mode(stat.st_mode);
        let passable = mode | Mode::XGRP | Mode::XOTH;
        if mode != passable && stat.st_uid == geteuid().as_raw() {
            rustix::fs::fchmod(&readable, passable)?;
        }
        Ok(())
    }

    /// The same folder, to be listed or to have its mode set.
    pub(crate) fn readable(&self) -> io::Result<OwnedFd> {
        Ok(rustix::fs::openat(&self.fd, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Trusted {
    fn new(owner: Ownership) -> Self {
        Self { users: [Some(Uid::ROOT), Some(geteuid()), owner.user], group: owner.group }
    }

    /// A user whom a file is for makes no links for root to follow.
    fn made_link(&self, stat: &Stat) -> bool {
        self.users[..2].contains(&Some(Uid::from_raw(stat.st_uid)))
    }

    fn own(&self, stat: &Stat) -> bool {
        self.users.contains(&Some(Uid::from_raw(stat.st_uid)))
    }

    /// Whether nobody else can rename what is in it.
    fn close(&self, stat: &Stat) -> bool {
        let mode = Mode::from_raw_mode(stat.st_mode);
        let group = self.group == Some(Gid::from_raw(stat.st_gid));
        let written = mode.contains(Mode::WOTH) || (mode.contains(Mode::WGRP) && !group);
        !written || mode.contains(Mode::SVTX)
    }

    fn check(&self, folder: &OwnedFd, path: &Path, shared: &mut Option<PathBuf>) -> Result<(), DeliveryError> {
        let failed = |source: Errno| DeliveryError::Folder { path: path.to_owned(), source: source.into() };
        let stat = rustix::fs::fstat(folder).map_err(failed)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return Err(failed(Errno::NOTDIR));
        }
        if !self.own(&stat) {
            return Err(DeliveryError::OpenToOthers { path: path.to_owned() });
        }
        if !self.close(&stat) {
            if !is_mounted(folder) {
                return Err(DeliveryError::OpenToOthers { path: path.to_owned() });
            }
            *shared = Some(path.to_owned());
        }
        Ok(())
    }
}

fn root() -> Result<OwnedFd, Errno> {
    rustix::fs::open("/", FOLDER | OFlags::DIRECTORY, Mode::empty())
}

fn names(path: &Path) -> VecDeque<OsString> {
    let name = |component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().filter_map(name).collect()
}

fn open_or_make(folder: BorrowedFd<'_>, name: &OsStr, missing: Option<Mode>) -> Result<OwnedFd, Errno> {
    let missing = match (rustix::fs::openat(folder, name, FOLDER, Mode::empty()), missing) {
        (Err(Errno::NOENT), Some(mode)) => mode,
        (opened, _) => return opened,
    };
    match rustix::fs::mkdirat(folder, name, missing) {
        // Another process was faster; what it made is judged like all that is there.
        Err(Errno::EXIST) => {}
        made => {
            made?;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let new = rustix::fs::openat(folder, name, flags, Mode::empty())?;
            if rustix::fs::fstat(&new)?.st_uid == geteuid().as_raw() {
                // Whatever the umask is.
                rustix::fs::fchmod(&new, missing)?;
            }
        }
    }
    rustix::fs::openat(folder, name, FOLDER, Mode::empty())
}

/// Whether files of a file system that `statfs` calls this are in memory. FUSE's may be anywhere, whatever it says of itself.
fn is_memory(kind: i64) -> bool {
    IN_MEMORY.contains(&kind)
}

/// Whether it is the top folder of a mount; not, where the kernel does not tell.
fn is_mounted(folder: &OwnedFd) -> bool {
    let told = rustix::fs::statx(folder, "", AtFlags::EMPTY_PATH, StatxFlags::empty());
    told.is_ok_and(|told| told.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, DirBuilder, Permissions},
        os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, chown, lchown, symlink},
        process::{Command, Stdio},
    };

    use super::*;
    use crate::{closed, deliver::fixture::STRANGER};

    fn open(path: &Path) -> Result<Folder, DeliveryError> {
        Folder::open(path, Ownership::default(), Some(Mode::RWXU))
    }

    /// Folders that others cannot write, by whatever umask.
    fn make(path: &Path) {
        DirBuilder::new().recursive(true).mode(0o755).create(path).unwrap();
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_folder_that_others_can_write_is_refused_wherever_it_is_on_the_path() {
        let folder = closed::folder();
        let (outer, inner) = (folder.path().join("outer"), folder.path().join("outer/inner"));
        make(&inner);
        for (mode, allowed) in [(0o755, true), (0o777, false), (0o757, false), (0o1777, true), (0o700, true)] {
            set_mode(&outer, mode);
            for path in [&outer, &inner, &inner.join("new")] {
                match open(path) {
                    Ok(_) => assert!(allowed, "{mode:o}"),
                    Err(DeliveryError::OpenToOthers { path }) => assert!(!allowed && path == outer, "{mode:o}"),
                    Err(error) => panic!("{error:?}"),
                }
            }
        }
    }

    #[test]
    fn a_group_may_write_where_the_file_is_for_it() {
        let folder = closed::folder();
        let path = folder.path().join("x");
        fs::create_dir(&path).unwrap();
        set_mode(&path, 0o770);
        let own = fs::metadata(&path).unwrap().gid();
        assert!(matches!(open(&path), Err(DeliveryError::OpenToOthers { .. })), "not even this process's own");
        let owner = Ownership { user: None, group: Some(Gid::from_raw(own)) };
        assert!(Folder::open(&path, owner, Some(Mode::RWXU)).is_ok());
        if !geteuid().is_root() {
            return;
        }
        chown(&path, None, Some(STRANGER)).unwrap();
        assert!(matches!(open(&path), Err(DeliveryError::OpenToOthers { .. })));
        let owner = Ownership { user: None, group: Some(Gid::from_raw(STRANGER)) };
        assert!(Folder::open(&path, owner, Some(Mode::RWXU)).is_ok());
    }

    #[test]
    fn a_folder_of_another_user_is_refused_unless_the_file_is_for_him() {
        if !geteuid().is_root() {
            return;
        }
        let folder = closed::folder();
        let home = folder.path().join("home");
        make(&home.join("mine"));
        chown(&home, Some(STRANGER), None).unwrap();
        for path in [home.clone(), home.join("mine")] {
            assert!(matches!(open(&path), Err(DeliveryError::OpenToOthers { path }) if path == home));
            let owner = Ownership { user: Some(Uid::from_raw(STRANGER)), group: None };
            assert!(Folder::open(&path, owner, Some(Mode::RWXU)).is_ok());
            let another = Ownership { user: Some(Uid::from_raw(STRANGER + 1)), group: None };
            assert!(Folder::open(&path, another, Some(Mode::RWXU)).is_err());
        }
    }

    #[test]
    fn links_of_this_user_lead_on_and_those_of_others_are_refused() {
        let folder = closed::folder();
        let at = |name: &str| folder.path().join(name);
        make(&at("real/inner"));
        symlink("real", at("relative")).unwrap();
        symlink(at("relative/inner"), at("absolute")).unwrap();
        symlink("../relative/./inner", at("real/up")).unwrap();
        symlink("round", at("round")).unwrap();
        let inode = |folder: &Folder| rustix::fs::fstat(folder).unwrap().st_ino;
        let inner = fs::metadata(at("real/inner")).unwrap().ino();
        for path in ["real/inner", "relative/inner", "absolute", "real/up", "relative/up"] {
            assert_eq!(inode(&open(&at(path)).unwrap()), inner, "{path}");
        }
        assert!(matches!(open(&at("round")), Err(DeliveryError::Folder { .. })));
        fs::write(at("file"), "").unwrap();
        assert!(matches!(open(&at("file")), Err(DeliveryError::Folder { .. })));
        assert!(matches!(open(&at("file/x")), Err(DeliveryError::Folder { .. })));
        if geteuid().is_root() {
            lchown(at("relative"), Some(STRANGER), None).unwrap();
            // Not even of whom the file is for: root would follow it.
            let owner = Ownership { user: Some(Uid::from_raw(STRANGER)), group: None };
            for path in ["relative/inner", "absolute", "relative/new"] {
                let refused = Folder::open(&at(path), owner, Some(Mode::RWXU));
                assert!(
                    matches!(refused, Err(DeliveryError::ForeignLink { path }) if path == at("relative")),
                    "{path}"
                );
            }
        }
    }

    #[test]
    fn missing_folders_get_the_mode_whatever_the_umask_is() {
        let folder = closed::folder();
        let path = folder.path().join("a/b");
        Folder::open(&path, Ownership::default(), Some(Mode::from_raw_mode(0o711))).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o711, 0o711));
    }

    #[test]
    fn the_top_of_a_mount_is_known() {
        let fd = |path| open(Path::new(path)).unwrap().fd;
        assert!(is_mounted(&fd("/proc")));
        assert!(!is_mounted(&fd("/proc/sys")) && !is_mounted(&fd("/etc")));
    }

    /// What Kubernetes' `emptyDir` is.
    #[test]
    fn the_top_of_a_mount_may_be_open_to_others_and_nothing_below() {
        const MOUNTED: &str = "COUNTERSIGN_TEST_MOUNTED";
        if let Some(top) = std::env::var_os(MOUNTED).map(PathBuf::from) {
            let inner = top.join("a");
            assert_eq!(open(&top).unwrap().shared(), Some(top.as_path()));
            assert_eq!(open(&inner).unwrap().shared(), Some(top.as_path()));
            set_mode(&inner, 0o777);
            assert!(matches!(open(&inner), Err(DeliveryError::OpenToOthers { path }) if path == inner));
            for mode in [0o777, 0o755] {
                set_mode(&top, mode);
                chown(&top, Some(STRANGER), None).unwrap();
                assert!(matches!(open(&top), Err(DeliveryError::OpenToOthers { path }) if path == top), "another's");
                let owner = Ownership { user: Some(Uid::from_raw(STRANGER)), group: None };
                assert!(Folder::open(&top, owner, None).is_ok(), "whom the file is for");
            }
            return;
        }
        let folder = closed::folder();
        let mounted = |command: &str| {
            let mount = format!("mount -t tmpfs -o mode=0777 none \"${MOUNTED}\" && {command}");
            let mut unshare = Command::new("unshare");
            unshare.args(["--mount", "sh", "-ec", &mount, "sh"]).arg(std::env::current_exe().unwrap());
            unshare.env(MOUNTED, folder.path()).stdout(Stdio::null()).status().is_ok_and(|status| status.success())
        };
        // Most containers may not mount.
        if mounted("true") {
            let name = std::thread::current().name().unwrap().to_owned();
            assert!(mounted(&format!("\"$1\" --exact {name}")));
        }
    }

    #[test]
    fn what_is_in_memory_is_known() {
        const FUSE: i64 = 0x6573_5546;
        assert!(!is_memory(FUSE));
        assert!(!open(Path::new("/proc")).unwrap().is_in_memory().unwrap());
        if Path::new("/dev/shm").is_dir() {
            assert!(open(Path::new("/dev/shm")).unwrap().is_in_memory().unwrap());
        }
    }
}
