//! `countersign cert` as a process, with a broker and a step-ca in this one.
#![allow(clippy::unwrap_used, clippy::panic)]

mod broker;
mod ca;
mod environment;
mod ssh_agent;

use std::{
    fs,
    io::Write as _,
    os::unix::{fs::PermissionsExt as _, process::ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use broker::Broker;
use ca::{Instead, TestCa};
use pki::{Certificate, DeviceKey};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use ssh_agent::SshAgent;
use step::RootFingerprint;
use tempfile::TempDir;

/// A machine whose user enrols.
struct Machine {
    broker: Broker,
    ca: TestCa,
    folder: TempDir,
}

impl Machine {
    fn new() -> Self {
        let (broker, ca, folder) = (Broker::start(), TestCa::start(), environment::folder());
        broker.serve_ca(ca.json());
        broker.codes.write_into(&folder.path().join("codes"));
        Self { broker, ca, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn certificate(&self, name: &str) -> Certificate {
        Certificate::chain_from_pem(&self.read(name)).unwrap().remove(0)
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = environment::countersign();
        let state = self.path("state");
        command.arg("cert").args(arguments.split(' ')).stdin(Stdio::null()).current_dir(self.folder.path());
        command.env("COUNTERSIGN_URL", &self.broker.url).env("XDG_STATE_HOME", state).env_remove("SSH_AUTH_SOCK");
        command
    }

    fn run(&self, arguments: &str) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs what is to succeed, and gives what it prints.
    fn done(&self, arguments: &str) -> String {
        said(self.run(arguments), 0).0
    }

    /// Runs what is to fail, and gives what it says.
    fn fails(&self, arguments: &str, code: i32) -> String {
        said(self.run(arguments), code).1
    }

    fn enrolled() -> Self {
        let machine = Self::new();
        machine.done("enroll alice --channel webhook --code-file codes/alice");
        machine
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path(folder)) else { return Vec::new() };
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn said(output: Output, code: i32) -> (String, String) {
    let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert_eq!(output.status.code(), Some(code), "{out}{err}");
    (out, err)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(20), "not in time: {what}");
        sleep(Duration::from_millis(20));
    }
}

/// A process that is ended with the test.
struct Running(Child);

impl Running {
    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_code_gets_a_certificate_for_every_name_and_openssl_believes_it() {
    let machine = Machine::new();
    let names = "--san web.example.com --san 192.0.2.1 --san alice@example.com --san spiffe://example.com/a";
    let printed =
        machine.done(&format!("enroll alice {names} --not-after 8h --channel webhook --code-file codes/alice"));
    assert_eq!(machine.names("alice"), ["ca.json", "certificate.pem", "chain.pem", "key.pem", "root.pem"]);
    assert!(machine.names("alice").iter().all(|name| mode(&machine.path("alice").join(name)) == 0o600));
    assert!(printed.contains(&machine.certificate("alice/certificate.pem").serial_decimal()), "{printed}");
    let verify = ["verify", "-CAfile", "root.pem", "-untrusted", "chain.pem", "-verify_hostname", "web.example.com"];
    let verify =
        [&verify[..], &["-verify_ip", "192.0.2.1", "-verify_email", "alice@example.com", "certificate.pem"]].concat();
    let verified = Command::new("openssl").args(verify).current_dir(machine.path("alice")).output().unwrap();
    assert!(verified.status.success(), "{verified:?}");
    let key = DeviceKey::from_pem(&machine.read("alice/key.pem")).unwrap();
    assert_eq!(machine.certificate("alice/chain.pem").public_key().unwrap(), key.public_key());
    let [asked] = &machine.ca.requests("/1.0/sign")[..] else { panic!() };
    assert_eq!(asked["notAfter"], "28800s");
    assert!(!machine.ca.requests("/1.0/sign")[0].to_string().contains("PRIVATE KEY"));
}

#[test]
fn a_bearer_and_a_group_need_no_code_and_policy_decides() {
    let machine = Machine::new();
    let agent = SshAgent::start();
    machine.broker.objects.put("ssh-keys/ops.pub", agent.public.as_str());
    machine.broker.write_material(&machine.path("state/countersign"));
    let by_key =
        machine.command("enroll web-1 --key-type rsa-2048").env("SSH_AUTH_SOCK", &agent.socket).output().unwrap();
    said(by_key, 0);
    assert!(machine.certificate("web-1/certificate.pem").public_key().unwrap().is_rsa());
    machine.done("enroll web-2 --san web-2.example.com --group web");
    machine.fails("enroll root --group web", 5);
    machine.fails("enroll web-3 --san root --group web", 5);
    let by_key = machine.command("enroll root").env("SSH_AUTH_SOCK", &agent.socket).output().unwrap();
    assert!(said(by_key, 5).1.contains("certificate:enroll"));
    assert!(machine.names("root").is_empty() && !machine.path("root").exists(), "nothing is left");
}

#[test]
fn a_wrong_code_gets_nothing_and_leaves_nothing() {
    let machine = Machine::new();
    fs::write(machine.path("wrong"), "00000000").unwrap();
    machine.fails("enroll alice --channel webhook --code-file wrong", 4);
    assert!(!machine.path("alice").exists());
    assert!(machine.fails("enroll alice --channel webhook --code-file codes/alice", 7).contains("--code-file"));
    fs::write(machine.path("short"), "1234567").unwrap();
    machine.fails("enroll alice --code-file short", 2);
    // What the first one sent is open.
    machine.done("enroll alice --code-file codes/alice");
    assert_eq!(machine.fails("enroll alice --out again --code-file codes/alice", 4).lines().count(), 2);
    machine.fails("enroll mallory --channel webhook --code-file codes/alice", 4);
    machine.fails("enroll alice --out mail --channel mail --code-file codes/alice", 6);
}

#[test]
fn no_code_is_sent_where_nobody_can_enter_it() {
    let machine = Machine::new();
    let requests = machine.broker.requests();
    assert!(machine.fails("enroll alice --channel webhook", 2).contains("--code-file"));
    assert_eq!((machine.broker.requests(), machine.broker.codes.of("alice")), (requests, None));
    assert!(!machine.path("alice").exists());
}

/// Runs its arguments on a terminal of their own, enters the lines of `typed` one by one when it is asked for a code, and copies what is
/// shown. A line of the form @PATH is what stands in that file.
const TERMINAL: &str = "
import os, pty, sys
lines = open('typed').read().splitlines()
process, terminal = pty.fork()
if process == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
shown = b''
while True:
    try:
        part = os.read(terminal, 10000)
    except OSError:
        break
    if not part:
        break
    shown += part
    sys.stdout.buffer.write(part)
    if shown.rstrip(b' ').endswith((b'code:', b'records:', b'[y/N]')):
        line = lines.pop(0)
        os.write(terminal, (open(line[1:]).read() if line.startswith('@') else line).encode() + b'\\n')
        shown = b''
sys.exit(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
";

impl Machine {
    /// What is shown on a terminal where these lines are entered.
    fn typed(&self, arguments: &str, lines: &[&str], code: i32) -> String {
        fs::write(self.path("typed"), lines.join("\n")).unwrap();
        let command = self.command(arguments);
        let mut python = Command::new("python3");
        python.args(["-c", TERMINAL]).arg(command.get_program()).args(command.get_args());
        python.current_dir(self.folder.path()).stdin(Stdio::null());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => python.env(name, value),
                None => python.env_remove(name),
            };
        }
        said(python.output().unwrap(), code).0
    }
}

#[test]
fn a_person_is_asked_for_the_code_and_may_enter_it_wrong() {
    let machine = Machine::new();
    let shown = machine.typed("enroll alice --channel webhook", &["1234", "00000000", "@codes/alice"], 0);
    // Where the broker takes long, there is also a line that says so.
    assert_eq!(shown.matches("enter it again").count(), 2, "{shown}");
    assert!(shown.contains("good for 300 s") && shown.contains("that is no code: enter it again"), "{shown}");
    assert_eq!(machine.names("alice").len(), 5);
    machine.typed("enroll carol --channel webhook", &["1", "2", "3"], 2);
    // Entered on a terminal all the same.
    machine.typed("enroll carol --code-file -", &["@codes/carol"], 0);
}

#[test]
fn the_key_is_on_disk_before_anything_is_asked_for() {
    let machine = Machine::new();
    let fifo = machine.path("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let mut running = Running(machine.command("enroll alice --code-file fifo").spawn().unwrap());
    eventually("there is a key", || machine.names("alice").iter().any(|name| name.starts_with("key-")));
    assert_eq!(machine.broker.requests(), 0);
    let name = machine.names("alice").remove(0);
    let path = machine.path("alice").join(name);
    eventually("it is whole", || DeviceKey::from_pem(&fs::read_to_string(&path).unwrap()).is_ok());
    assert_eq!(mode(&path), 0o600);
    fs::OpenOptions::new().write(true).open(fifo).unwrap().write_all(b"00000000").unwrap();
    assert_eq!(running.0.wait().unwrap().code(), Some(4));
    assert!(!machine.path("alice").exists());
}

#[test]
fn a_key_whose_answer_is_lost_is_kept_and_used_again() {
    let machine = Machine::new();
    machine.ca.answer("/1.0/sign", Instead::Lost);
    let lost = machine.fails("enroll alice --channel webhook --code-file codes/alice", 7);
    assert!(lost.contains("alice/key.pem") && lost.contains("--reuse-key"), "{lost}");
    assert_eq!(machine.names("alice"), ["key.pem"]);
    let key = machine.read("alice/key.pem");
    machine.ca.answer("/1.0/sign", None);
    machine.broker.write_material(&machine.path("state/countersign"));
    assert!(machine.fails("enroll alice --group web", 2).contains("--reuse-key"));
    machine.done("enroll alice --group web --reuse-key");
    assert_eq!(machine.read("alice/key.pem"), key);
    let first = machine.certificate("alice/certificate.pem").serial();
    machine.done("enroll alice --group web --reuse-key");
    assert_ne!(machine.certificate("alice/certificate.pem").serial(), first);
    machine.ca.answer("/1.0/sign", Instead::Lost);
    machine.fails("enroll alice --group web --force", 7);
    assert_eq!(machine.read("alice/key.pem"), key, "what is in use stays");
    assert_eq!(machine.names("alice").iter().filter(|name| name.starts_with("key-")).count(), 1);
    machine.ca.answer("/1.0/sign", None);
    machine.done("enroll alice --group web --force");
    assert_ne!(machine.read("alice/key.pem"), key);
}

#[test]
fn the_root_is_the_one_that_is_known() {
    let machine = Machine::new();
    machine.broker.write_material(&machine.path("state/countersign"));
    let other = RootFingerprint::of(b"another");
    machine.fails(&format!("enroll alice --group web --fingerprint {other}"), 8);
    assert_eq!(machine.ca.requests("/1.0/sign").len(), 0, "nothing is asked of a CA that is not known");
    let colons = machine
        .ca
        .fingerprint
        .to_string()
        .as_bytes()
        .chunks(2)
        .map(|two| str::from_utf8(two).unwrap())
        .collect::<Vec<_>>()
        .join(":");
    machine.done(&format!("enroll alice --group web --fingerprint {colons}"));
    // A token that is there names its CA, too.
    fs::write(machine.path("ott"), machine.ca.token("bob", &[], "ott")).unwrap();
    let requests = machine.broker.requests();
    machine.done("enroll bob --ott-file ott");
    assert_eq!(machine.broker.requests(), requests);
    machine.fails("enroll bob --out again --ott-file ott", 4);
    fs::write(machine.path("ott"), "no token").unwrap();
    machine.fails("enroll bob --out again --ott-file ott", 2);
}

#[test]
fn a_renewal_waits_for_its_time_or_is_forced_and_tells_a_process() {
    let machine = Machine::enrolled();
    let serial = || machine.certificate("alice/certificate.pem").serial();
    let (first, key) = (serial(), machine.read("alice/key.pem"));
    assert!(machine.done("renew alice").contains("--force renews now"));
    assert_eq!(serial(), first);
    let mut told = Running(Command::new("sleep").arg("60").spawn().unwrap());
    environment::write(machine.path("pid"), told.0.id().to_string());
    machine.done("renew alice --force --on-renew signal:USR1 --pid-file pid");
    assert_eq!(told.0.wait().unwrap().signal(), Some(10));
    assert_ne!(serial(), first);
    assert_eq!(machine.read("alice/key.pem"), key);
    let files = "--certificate c.pem --chain-file chain.pem --key-file alice/key.pem --root alice/root.pem";
    for (from, to) in [("certificate.pem", "c.pem"), ("chain.pem", "chain.pem")] {
        fs::copy(machine.path("alice").join(from), machine.path(to)).unwrap();
    }
    let elsewhere = format!("renew {files} --ca-url {} --force", machine.ca.url);
    machine.done(&elsewhere);
    assert_ne!(machine.certificate("c.pem").serial(), serial());
    assert_eq!(machine.certificate("c.pem").serial(), machine.certificate("chain.pem").serial());
    for bad in [
        "renew alice --on-renew signal:HUP",
        "renew alice --on-renew signal:HUP:7 --pid-file pid",
        "renew alice --on-renew run:true --pid-file pid",
        "renew alice --on-renew restart",
        "renew --certificate c.pem",
        "renew",
    ] {
        machine.fails(bad, 2);
    }
}

#[test]
fn the_command_after_a_renewal_gets_no_secret_and_its_failure_is_told() {
    let machine = Machine::enrolled();
    let script = machine.path("hook");
    fs::write(&script, "#!/bin/sh\nenv > env\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = machine.command("renew alice --force --on-renew run:./hook");
    for name in ["COUNTERSIGN_KEY", "NPM_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"] {
        command.env(name, "hunter2");
    }
    said(command.env("PLAIN", "plain").output().unwrap(), 0);
    let environment = machine.read("env");
    assert!(environment.contains("PLAIN=plain") && !environment.contains("hunter2"), "{environment}");
    assert!(!environment.contains("COUNTERSIGN_"), "{environment}");
    machine.fails("renew alice --force --on-renew run:false", 1);
    machine.fails("renew alice --force --on-renew run:./none", 1);
    machine.fails("renew alice --force --on-renew signal:HUP:2147483646", 1);
}

#[test]
fn a_daemon_renews_when_it_is_told_to_and_ends_when_it_is_asked_to() {
    let machine = Machine::enrolled();
    let serial = || machine.certificate("alice/certificate.pem").serial();
    let log = machine.path("log");
    let daemon = |more: &[&str]| {
        let mut command = machine.command("renew alice --daemon");
        Running(command.args(more).stderr(fs::File::create(&log).unwrap()).spawn().unwrap())
    };
    let logged = |text: &str| fs::read_to_string(&log).unwrap().contains(text);
    let first = serial();
    let mut running = daemon(&[]);
    eventually("it watches", || logged("watched"));
    running.signal(Signal::HUP);
    eventually("it is renewed", || serial() != first);
    // What the CA does not do for a while ends nothing.
    machine.ca.answer("/1.0/renew", Instead::Answer(401, "{}".into()));
    running.signal(Signal::HUP);
    eventually("it is refused", || logged("not renewed"));
    machine.ca.answer("/1.0/renew", None);
    let second = serial();
    eventually("it is tried again", || serial() != second);
    running.signal(Signal::TERM);
    assert_eq!(running.0.wait().unwrap().code(), Some(0));
    // Nor what its command does.
    for (action, told) in [
        ("run:touch renewed", "the command on a change is done"),
        ("run:false", "the command on a change failed"),
        ("run:./none", "the command on a change is not run"),
        ("signal:HUP:2147483646", "nobody is told of the renewal"),
    ] {
        let mut running = daemon(&["--force", "--on-renew", action]);
        eventually(action, || logged(told));
        running.signal(Signal::INT);
        assert_eq!(running.0.wait().unwrap().code(), Some(0), "{action}");
    }
    assert!(machine.path("renewed").exists());
}

#[test]
fn a_certificate_is_revoked_by_its_key_once() {
    let machine = Machine::enrolled();
    assert!(machine.fails("revoke alice --yes", 2).contains("--reason-code"));
    assert!(machine.fails("revoke alice --reason-code 1", 2).contains("--yes"));
    let serial = machine.certificate("alice/certificate.pem").serial_decimal();
    assert!(machine.done("revoke alice --reason-code keyCompromise --reason stolen --yes").contains(&serial));
    let asked = &machine.ca.requests("/1.0/revoke")[0];
    assert_eq!(
        (&asked["serial"], &asked["reasonCode"], &asked["reason"]),
        (&serial.into(), &1.into(), &"stolen".into())
    );
    machine.fails("revoke alice --reason-code 1 --yes", 2);
    machine.fails("renew alice --force", 4);
}

#[test]
fn who_lost_the_key_revokes_by_a_code_and_who_may_by_a_token() {
    let machine = Machine::enrolled();
    fs::remove_file(machine.path("alice/key.pem")).unwrap();
    machine.fails("revoke alice --reason-code 1 --yes", 3);
    machine.done("revoke alice --by-code webhook --code-file codes/alice --reason-code 1 --yes");
    assert!(machine.ca.requests("/1.0/revoke")[0]["ott"].is_string());
    let agent = SshAgent::start();
    machine.broker.objects.put("ssh-keys/ops.pub", agent.public.as_str());
    let by_key =
        machine.command("revoke --serial 4711 --reason-code 5 --yes").env("SSH_AUTH_SOCK", &agent.socket).output();
    said(by_key.unwrap(), 0);
    assert_eq!(machine.ca.requests("/1.0/revoke")[1]["serial"], "4711");
}

#[test]
fn a_person_chooses_the_reason_and_may_think_again() {
    let machine = Machine::enrolled();
    let shown = machine.typed("revoke alice", &["7", "4", "a new one is there", "n"], 0);
    assert!(shown.contains("superseded") && shown.contains("nothing was revoked"), "{shown}");
    assert_eq!(machine.ca.requests("/1.0/revoke").len(), 0);
    machine.typed("revoke alice", &["keyCompromise", "stolen", "y"], 0);
    assert_eq!(machine.ca.requests("/1.0/revoke")[0]["reason"], "stolen");
}

#[test]
fn a_folder_is_inspected_and_what_is_wrong_with_it_is_told() {
    let machine = Machine::enrolled();
    let json =
        |place: &str| -> Value { serde_json::from_str(&machine.done(&format!("inspect {place} --json"))).unwrap() };
    let said = json("alice");
    assert_eq!((&said["subject"], &said["state"]), (&"CN=alice".into(), &"valid".into()));
    assert_eq!(said["folder"]["chain"], "follows from the root, and is the key's");
    assert_eq!(said["folder"]["fingerprint"], machine.ca.fingerprint.to_string());
    assert_eq!(json("alice/root.pem")["sha256"], machine.ca.fingerprint.to_string());
    let other = TestCa::start();
    fs::write(machine.path("alice/root.pem"), other.root().to_pem()).unwrap();
    assert!(json("alice")["folder"]["chain"].as_str().unwrap().contains("is not the root whose fingerprint is known"));
    machine.fails("inspect none", 1);
    fs::create_dir(machine.path("empty")).unwrap();
    machine.fails("inspect empty", 3);
}

#[test]
fn names_that_are_malformed_are_not_taken_for_none() {
    let machine = Machine::new();
    let request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -subj /CN=web -days 1";
    // A dNSName that is no IA5String, among others; and a certificate without names.
    for (file, names) in [("odd.pem", Some("subjectAltName=DER:30:08:82:03:77:65:62:82:01:ff")), ("plain.pem", None)] {
        let mut openssl = Command::new("openssl");
        openssl.args(request.split(' ')).args(["-out", file]).current_dir(machine.folder.path());
        openssl.args(names.map(|names| ["-addext", names]).into_iter().flatten());
        assert!(openssl.output().unwrap().status.success());
    }
    let inspect = |arguments: &str| machine.done(&format!("inspect {arguments}"));
    let json = |arguments: &str| serde_json::from_str::<Value>(&inspect(arguments)).unwrap()["names"].clone();
    assert_eq!((json("odd.pem --json"), json("plain.pem --json")), (Value::Null, json!([])));
    assert!(inspect("odd.pem").lines().any(|line| line.split_whitespace().eq(["names", "malformed"])));
    assert!(!inspect("plain.pem").contains("name"));
}
