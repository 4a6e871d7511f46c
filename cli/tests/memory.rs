//! `countersign` as a process whose memory others may not read.
#![allow(clippy::unwrap_used, clippy::panic)]

mod environment;

use std::{
    fs,
    net::TcpListener,
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _},
        process::CommandExt as _,
    },
    process::Stdio,
};

use rustix::process::geteuid;

const STRANGER: u32 = 23_456;

/// The kernel gives the files of a process in `/proc` to root where its memory is hidden.
#[test]
fn the_memory_of_every_command_is_hidden() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    // Where another user can start it.
    let own = folder.path().join("countersign");
    fs::copy(env!("CARGO_BIN_EXE_countersign"), &own).unwrap();
    let origin = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = environment::command(own);
    command.args(["pull", "--group", "web", "--from", &format!("http://{}", origin.local_addr().unwrap())]);
    command.arg("--material").arg(folder.path().join("material")).stderr(Stdio::null());
    if geteuid().is_root() {
        command.uid(STRANGER).gid(STRANGER);
    }
    let mut process = command.spawn().unwrap();
    // It asks, and is not answered.
    let asked = origin.accept().unwrap();
    let owner = fs::metadata(format!("/proc/{}/environ", process.id())).unwrap().uid();
    process.kill().unwrap();
    process.wait().unwrap();
    drop(asked);
    assert_eq!(owner, 0);
}
