//! What the environment of who runs the tests is not to do to them: its variables, and its umask.
#![allow(dead_code, unused_imports, unreachable_pub, clippy::unwrap_used, reason = "each test file uses its part")]

#[path = "../../src/closed.rs"]
mod closed;

use std::{
    env,
    ffi::{OsStr, OsString},
    process::Command,
};

pub(crate) use closed::{folder, folder_in, write};

/// Whoever asks a server of a test is not to ask a proxy for it.
const PROXIES: [&str; 3] = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];

/// `countersign`, by itself.
pub fn countersign() -> Command {
    command(env!("CARGO_BIN_EXE_countersign"))
}

/// A command that finds no variable that tells `countersign`, or the AWS SDK in it, what to do, and no proxy.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for name in telling() {
        command.env_remove(name);
    }
    command
}

/// Runs a test again in a process without those variables where this one has any, and tells whether it did: a process
/// cannot safely remove its own.
pub fn is_tried_elsewhere(test: &str) -> bool {
    if telling().next().is_none() {
        return false;
    }
    let output = command(env::current_exe().unwrap()).args([test, "--exact"]).output().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success() && out.contains("1 passed"), "{out}{err}");
    true
}

fn telling() -> impl Iterator<Item = OsString> {
    let tells = |name: &OsString| {
        let name = name.to_string_lossy().to_ascii_uppercase();
        // AWS-LC's are of its build, and cargo sets them.
        let is_of_aws = name.starts_with("AWS_") && !name.starts_with("AWS_LC_");
        name.starts_with("COUNTERSIGN_") || is_of_aws || PROXIES.contains(&name.as_str())
    };
    env::vars_os().map(|(name, _)| name).filter(tells)
}
