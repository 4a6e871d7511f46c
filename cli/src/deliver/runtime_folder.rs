use std::{
    env,
    ffi::OsString,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Mode, Uid},
    process::geteuid,
};

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
    /// Whether it was made here, or is where it is by default, so that its mode is ours to choose.
    ours: bool,
}

impl RuntimeFolder {
    /// The configured folder, or `countersign` in `$XDG_RUNTIME_DIR` where that is this user's own and in memory, or
    /// `/run/countersign` for root where `/run` is in memory, or `/dev/shm/countersign-UID`. It is made, with mode 0700, where it
    /// is missing.
    ///
    /// # Errors
    /// [`DeliveryError::OpenToOthers`] where it, or a folder above it, is another user's or can be written by others, and
    /// [`DeliveryError::TakenRuntime`] where that is so and none is configured; [`DeliveryError::ForeignLink`],
    /// [`DeliveryError::Folder`].
    pub fn new(configured: Option<&Path>) -> Result<Self, Error> {
        let path = Self::place(configured);
        let path = std::path::absolute(&path).map_err(|source| DeliveryError::Folder { path, source })?;
        if configured.is_none() {
            return Self::by_default(path);
        }
        let ours = path.symlink_metadata().is_err();
        Folder::open(&path, Ownership::default(), Some(Mode::RWXU))?;
        Ok(Self { path, ours })
    }

    /// Where it is, or would be made. Nothing is made.
    #[must_use]
    pub fn place(configured: Option<&Path>) -> PathBuf {
        let default = || default_path(env::var_os("XDG_RUNTIME_DIR"), geteuid(), Path::new("/run"));
        configured.map_or_else(default, Path::to_owned)
    }

    fn by_default(path: PathBuf) -> Result<Self, Error> {
        match Folder::open(&path, Ownership::default(), Some(Mode::RWXU)) {
            Ok(_) => Ok(Self { path, ours: true }),
            Err(DeliveryError::OpenToOthers { .. } | DeliveryError::ForeignLink { .. }) => {
                Err(DeliveryError::TakenRuntime { path }.into())
            }
            Err(error) => Err(error.into()),
        }
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

    /// Lets other users pass through to the files below that are theirs, unless the folder was there before.
    pub(crate) fn let_pass(&self) -> Result<(), DeliveryError> {
        if !self.ours {
            return Ok(());
        }
        let folder = Folder::open(&self.path, Ownership::default(), Some(Mode::RWXU))?;
        folder.let_pass().map_err(|source| DeliveryError::Folder { path: self.path.clone(), source })
    }
}

fn default_path(session: Option<OsString>, user: Uid, run: &Path) -> PathBuf {
    // Of another user it is after `sudo -E` and `su`.
    let session =
        session.map(PathBuf::from).filter(|path| path.is_absolute() && is_of(user, path) && is_in_memory(path));
    let run = || (user.is_root() && is_in_memory(run)).then(|| run.to_owned());
    let shared = || PathBuf::from(format!("/dev/shm/{NAME}-{}", user.as_raw()));
    session.or_else(run).map_or_else(shared, |folder| folder.join(NAME))
}

fn is_of(user: Uid, path: &Path) -> bool {
    path.metadata().is_ok_and(|folder| folder.is_dir() && folder.uid() == user.as_raw())
}

fn is_in_memory(path: &Path) -> bool {
    let folder = Folder::open(path, Ownership::default(), None);
    folder.is_ok_and(|folder| folder.is_in_memory().unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, Permissions},
        os::unix::fs::{PermissionsExt as _, chown, symlink},
    };

    use super::*;
    use crate::{closed, deliver::fixture::STRANGER};

    fn is_open(made: &Result<RuntimeFolder, Error>) -> bool {
        matches!(made, Err(Error::Delivery(DeliveryError::OpenToOthers { .. })))
    }

    #[test]
    fn it_is_made_and_closed_to_others() {
        let folder = closed::folder();
        let path = folder.path().join("a/run");
        let runtime = RuntimeFolder::new(Some(&path)).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o700);
        assert_eq!(runtime.resolve(Path::new("db")), path.join("db"));
        assert_eq!(runtime.resolve(Path::new("/etc/db")), Path::new("/etc/db"));
        RuntimeFolder::new(Some(&path)).unwrap();
    }

    #[test]
    fn one_that_another_made_first_is_refused() {
        let folder = closed::folder();
        // As /dev/shm is.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o1777)).unwrap();
        let path = folder.path().join("countersign-1000");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o777)).unwrap();
        assert!(is_open(&RuntimeFolder::new(Some(&path))));
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        assert!(RuntimeFolder::new(Some(&path)).is_ok());
        let link = folder.path().join("countersign-1001");
        symlink("/etc", &link).unwrap();
        if geteuid().is_root() {
            chown(&path, Some(STRANGER), None).unwrap();
            assert!(is_open(&RuntimeFolder::new(Some(&path))));
            std::os::unix::fs::lchown(&link, Some(STRANGER), None).unwrap();
            let followed = RuntimeFolder::new(Some(&link));
            assert!(matches!(followed, Err(Error::Delivery(DeliveryError::ForeignLink { .. }))), "{followed:?}");
        }
    }

    #[test]
    fn where_the_default_is_taken_the_hint_names_what_to_configure() {
        let folder = closed::folder();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("open")).unwrap();
        fs::set_permissions(at("open"), Permissions::from_mode(0o777)).unwrap();
        let error = RuntimeFolder::by_default(at("open")).unwrap_err();
        assert!(matches!(error, Error::Delivery(DeliveryError::TakenRuntime { .. })), "{error:?}");
        assert!(error.hint().contains("runtime = "), "{}", error.hint());
        assert!(RuntimeFolder::by_default(at("new")).is_ok());
    }

    #[test]
    fn by_default_it_is_the_sessions_or_in_memory() {
        let path = |session: Option<&str>, user, run| {
            default_path(session.map(Into::into), Uid::from_raw(user), Path::new(run))
                .into_os_string()
                .into_string()
                .unwrap()
        };
        let own = geteuid().as_raw();
        let session = closed::folder_in("/dev/shm");
        let session = session.path().to_str().unwrap();
        assert_eq!(path(Some(session), own, "/run"), format!("{session}/countersign"));
        assert_eq!(path(Some(session), own + 1, "/run"), format!("/dev/shm/countersign-{}", own + 1), "another user's");
        assert_eq!(path(Some("/proc"), 0, "/nowhere"), "/dev/shm/countersign-0", "not in memory");
        assert_eq!(path(None, 1000, "/dev/shm"), "/dev/shm/countersign-1000");
        for no_session in ["", "run"] {
            assert_eq!(path(Some(no_session), 1000, "/run"), "/dev/shm/countersign-1000");
        }
        assert_eq!(path(None, 0, "/dev/shm"), "/dev/shm/countersign");
        for not_in_memory in ["/proc", "/nowhere"] {
            assert_eq!(path(None, 0, not_in_memory), "/dev/shm/countersign-0");
        }
    }
}
