//! Folders and files of tests that nobody else may write, by whatever umask: the client refuses others. Those of `tests/` have
//! it by `environment`.

use std::{
    env,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use tempfile::TempDir;

/// A folder, which is its owner's alone.
pub(crate) fn folder() -> TempDir {
    folder_in(env::temp_dir())
}

/// The same, in this one.
pub(crate) fn folder_in(parent: impl AsRef<Path>) -> TempDir {
    let permissions = Permissions::from_mode(0o700);
    tempfile::Builder::new().permissions(permissions).tempdir_in(parent).unwrap()
}

/// Writes a file.
pub(crate) fn write(path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) {
    fs::write(&path, bytes).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
}
