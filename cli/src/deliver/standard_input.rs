use std::{
    fs::File,
    io::{self, Seek as _, Write as _},
    os::fd::OwnedFd,
};

use rustix::{
    fs::{MemfdFlags, SealFlags},
    io::Errno,
};

/// A file in memory, without a name, that holds these bytes and never others: a command that gets it as its standard input
/// reads them from the beginning, however many they are, and then the end.
pub(crate) fn standard_input(bytes: &[u8]) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let memory = match rustix::fs::memfd_create("stdin", flags | MemfdFlags::NOEXEC_SEAL) {
        // Linux before 6.3 does not know the flag; later ones may be set to insist on it.
        Err(Errno::INVAL) => rustix::fs::memfd_create("stdin", flags),
        made => made,
    };
    let mut file = File::from(memory?);
    file.write_all(bytes)?;
    file.rewind()?;
    rustix::fs::fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL)?;
    Ok(file.into())
}
