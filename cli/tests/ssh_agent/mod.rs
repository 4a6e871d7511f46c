//! OpenSSH's agent with a key of its own.
#![allow(dead_code, unreachable_pub, clippy::panic, clippy::unwrap_used, reason = "each test file uses its part")]

use std::{
    fs,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// An agent, until it is dropped.
pub struct SshAgent {
    /// `SSH_AUTH_SOCK`.
    pub socket: PathBuf,
    /// The key's line, as of authorized_keys.
    pub public: String,
    /// As `ssh-add -l` shows it.
    pub fingerprint: String,
    process: Child,
    _folder: TempDir,
}

impl SshAgent {
    /// An agent that holds a new key.
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("agent-").tempdir().unwrap();
        let (key, socket) = (folder.path().join("key"), folder.path().join("s"));
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-C", "alice", "-f", &path(&key)], &socket);
        let mut process = Command::new("ssh-agent")
            .args(["-D", "-a", &path(&socket)])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let began = Instant::now();
        // The socket is there before anybody listens.
        while UnixStream::connect(&socket).is_err() {
            assert!(process.try_wait().unwrap().is_none(), "ssh-agent ended");
            assert!(began.elapsed() < Duration::from_secs(10), "ssh-agent does not listen");
            thread::sleep(Duration::from_millis(5));
        }
        run("ssh-add", &["-q", &path(&key)], &socket);
        let public = key.with_extension("pub");
        let shown = run("ssh-keygen", &["-lf", &path(&public)], &socket);
        Self {
            public: fs::read_to_string(public).unwrap(),
            fingerprint: shown.split(' ').nth(1).unwrap().to_owned(),
            socket,
            process,
            _folder: folder,
        }
    }
}

impl Drop for SshAgent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn run(program: &str, args: &[&str], socket: &Path) -> String {
    let done = Command::new(program).args(args).env("SSH_AUTH_SOCK", socket).stdin(Stdio::null()).output().unwrap();
    assert!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}
