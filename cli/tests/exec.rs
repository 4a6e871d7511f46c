//! `countersign exec` against a broker in this process.
#![allow(clippy::unwrap_used)]

mod broker;
mod environment;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use broker::{Answer, Broker};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A broker, and a folder that commands work in, with material.
struct Place {
    broker: Broker,
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let (broker, folder) = (Broker::start(), environment::folder());
        broker.write_material(&folder.path().join("material"));
        Self { broker, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `countersign exec` with this configuration and these arguments.
    fn exec(&self, config: &str, arguments: &[&str]) -> Command {
        let runtime = self.path("runtime");
        let config = format!("runtime = '{}'\n{config}", runtime.display());
        environment::write(self.path("countersign.toml"), config);
        let mut command = environment::countersign();
        command.current_dir(self.folder.path()).env("COUNTERSIGN_CONFIG", "countersign.toml");
        command.env("COUNTERSIGN_MATERIAL", self.path("material")).arg("exec").args(arguments).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn until(&self, name: &str, text: &str) {
        let read = || fs::read_to_string(self.path(name)).unwrap_or_default();
        eventually(&format!("{text:?} in {name}"), || read().contains(text));
    }
}

fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(30), "never: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

fn end(child: Child) -> (i32, String, String) {
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn a_command_with_nothing_to_keep_fresh_takes_the_place_of_the_process() {
    let place = Place::new();
    let child = place
        .exec(
            "items.db = { secret = 'app/db', member = 'password', env = 'DB' }\nchild.inherit = ['PATH']",
            &[
                "--env",
                "AWS=role:deploy",
                "--stdin",
                "secret:app/api-key",
                "--",
                "sh",
                "-c",
                "echo $$; cat; echo; env; exit 9",
            ],
        )
        .spawn()
        .unwrap();
    let pid = child.id();
    let (code, told, log) = end(child);
    assert_eq!(code, 9, "{log}");
    let mut lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[..2], [pid.to_string().as_str(), "battery staple"]);
    lines.drain(..2);
    assert!(lines.contains(&"DB=correct horse"), "{told}");
    // PWD and the like are the shell's own.
    let names = lines
        .iter()
        .map(|line| line.split_once('=').unwrap().0)
        .filter(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(name));
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    assert_eq!(names, ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "DB", "PATH"]);
    assert_eq!(place.broker.exchanges(), 1);
    assert!(!place.path("runtime").exists(), "no folder that nobody asked for");
}

#[test]
fn a_command_does_not_begin_without_all_that_it_needs() {
    let place = Place::new();
    let arguments = ["--env", "A=secret:app/api-key", "--env", "B=secret:ops/root", "--", "touch", "began"];
    let (code, _, log) = end(place.exec("", &arguments).spawn().unwrap());
    assert_eq!(code, 5, "{log}");
    assert!(!place.path("began").exists());
}

#[test]
fn what_an_earlier_run_left_does_not_outlive_a_start_that_fails() {
    let place = Place::new();
    fs::write(place.path("left"), "old").unwrap();
    let file = format!("{}=secret:ops/root", place.path("left").display());
    let (code, _, log) = end(place.exec("", &["--file", &file, "--", "true"]).spawn().unwrap());
    assert_eq!(code, 5, "{log}");
    assert!(!place.path("left").exists());
}

#[test]
fn a_process_that_is_ended_while_it_waits_ends_at_once() {
    let place = Place::new();
    for answer in [Answer::of(503), Answer { delay: Duration::from_secs(60), ..Answer::of(200) }] {
        place.broker.answer(answer);
        let before = place.broker.requests();
        let child = place.exec("", &["--env", "A=secret:app/api-key", "--", "true"]).spawn().unwrap();
        eventually("a request", || place.broker.requests() > before);
        let begun = Instant::now();
        signal(&child, Signal::TERM);
        assert_eq!(end(child).0, 128 + 15);
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}

#[test]
fn a_command_that_is_restarted_on_a_change_has_what_is_new() {
    let place = Place::new();
    let config = "on_change.restart = true\nrefresh = { interval = '1s', min_interval = '1s' }\n\
                  items.key = { secret = 'app/api-key', env = 'KEY', file = { path = 'key' } }";
    let script = "echo $KEY, $(cat runtime/key) >> log; exec sleep 100";
    let child = place.exec(config, &["--", "sh", "-c", script]).spawn().unwrap();
    place.until("log", "battery staple, battery staple\n");
    place.broker.put("app/api-key", "purple monkey");
    place.until("log", "purple monkey, purple monkey\n");
    signal(&child, Signal::TERM);
    let (code, _, log) = end(child);
    assert_eq!(code, 128 + 15, "{log}");
    assert!(!place.path("runtime/key").exists(), "it is gone with the command");
    assert!(log.contains("restarted"), "{log}");
    for never in ["battery", "monkey", "echo"] {
        assert!(!log.contains(never), "neither values nor arguments are logged: {log}");
    }
}

#[test]
fn a_command_finds_the_endpoint() {
    let place = Place::new();
    let config = "items.aws = { role = 'deploy' }\nendpoint = { listen = '127.0.0.1:0' }";
    let script = "echo $AWS_CONTAINER_CREDENTIALS_FULL_URI; cat $AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";
    let (code, told, log) = end(place.exec(config, &["--", "sh", "-c", script]).spawn().unwrap());
    assert_eq!(code, 0, "{log}");
    let lines: Vec<&str> = told.lines().collect();
    assert!(lines[0].starts_with("http://127.0.0.1:") && lines[0].ends_with("/credentials/deploy"), "{told}");
    assert!(lines[1].len() >= 43, "256 bits");
    assert!(is_empty(&place.path("runtime")), "the token is gone with the command");
}

#[test]
fn once_files_stay_with_the_command_that_takes_the_place() {
    let place = Place::new();
    let config = "on_change.restart = true\nendpoint = { listen = '127.0.0.1:0' }\n\
                  items.key = { secret = 'app/api-key', file = { path = 'key' } }";
    let (code, _, log) = end(place.exec(config, &["--once", "--", "no-such-command"]).spawn().unwrap());
    assert_eq!(code, 127, "{log}");
    assert!(!place.path("runtime/key").exists(), "nobody has a use for it");
    let child = place.exec(config, &["--once", "--", "sh", "-c", "echo $$; cat runtime/key"]).spawn().unwrap();
    let pid = child.id();
    assert_eq!(end(child).1, format!("{pid}\nbattery staple"));
    assert!(place.path("runtime/key").exists());
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().next().is_none()
}
