//! `countersign agent` as a process, with a broker in this one.
#![allow(clippy::unwrap_used, clippy::panic)]

mod broker;
mod environment;

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use broker::{Answer, Broker};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// An agent and what it needs, until it is dropped.
struct Agent {
    folder: TempDir,
    address: String,
    process: Child,
}

/// The beginning of a configuration: material, and times that suit a test.
fn configure(folder: &Path, broker: &Broker, items: &str) -> (PathBuf, String) {
    broker.write_material(&folder.join("material"));
    // Free now, and by its number unlikely to be taken until the agent is there.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let text = format!(
        "group = \"web\"\nmaterial = \"{0}/material\"\nruntime = \"{0}/run\"\ntimeout = \"10s\"\n{items}\n\
         [refresh]\ninterval = \"1h\"\nmin_interval = \"50ms\"\nmax_backoff = \"200ms\"\n\
         [endpoint]\nlisten = \"{address}\"\n",
        folder.display()
    );
    let path = folder.join("countersign.toml");
    environment::write(&path, text);
    (path, address)
}

fn countersign(arguments: &[&str], config: &Path) -> Command {
    let mut command = environment::countersign();
    command.args(arguments).arg("--config").arg(config).stdin(Stdio::null());
    command
}

impl Agent {
    fn start(broker: &Broker, items: &str) -> Self {
        let folder = environment::folder();
        let items = items.replace("RAN", folder.path().join("ran").to_str().unwrap());
        let (config, address) = configure(folder.path(), broker, &items);
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let mut command = countersign(&["agent"], &config);
        let process = command.env("COUNTERSIGN_LOG", "debug").stderr(log).spawn().unwrap();
        Self { folder, address, process }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }

    /// Asks for a path with the agent's token, and gives the status and the body.
    fn get(&self, path: &str) -> (u16, String) {
        let token = fs::read_to_string(self.path("run/token")).unwrap();
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: {token}\r\nX-Aws-Parameters-Secrets-Token: {token}\r\n\r\n",
            self.address
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), body.to_owned())
    }

    /// Runs another command with the agent's configuration.
    fn run(&self, arguments: &[&str]) -> Output {
        countersign(arguments, &self.path("countersign.toml")).output().unwrap()
    }

    /// The exit code of a probe.
    fn probe(&self, what: &str) -> Option<i32> {
        self.run(&["probe", what]).status.code()
    }

    fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !is_so() {
            assert!(Instant::now() < deadline, "{what}: not in time\n{}", self.log());
            sleep(Duration::from_millis(20));
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    fn end(&mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        self.process.wait().unwrap().code()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const ITEMS: &str = r#"
[items.key]
secret = "app/api-key"
file = { path = "key" }
[items.ci]
secret = "app/ci/aws"
[items.aws]
role = "deploy"
[on_change]
run = ["/bin/sh", "-c", "echo $AWS_CONTAINER_CREDENTIALS_FULL_URI >> RAN"]
"#;

#[test]
fn an_agent_serves_what_it_holds_and_follows_what_changes() {
    let broker = Broker::start();
    let mut agent = Agent::start(&broker, ITEMS);
    agent.until("ready", || agent.probe("ready") == Some(0));
    assert_eq!(fs::read_to_string(agent.path("run/key")).unwrap(), "battery staple");

    let (status, secret) = agent.get("/secretsmanager/get?secretId=app/api-key");
    let secret: Value = serde_json::from_str(&secret).unwrap();
    assert_eq!((status, &secret["SecretString"]), (200, &"battery staple".into()));
    let (status, of_endpoint) = agent.get("/credentials/deploy");
    let of_endpoint: Value = serde_json::from_str(&of_endpoint).unwrap();
    assert_eq!((status, &of_endpoint["SecretAccessKey"]), (200, &"example/secret/access/key".into()));
    assert_eq!(
        agent.get("/secretsmanager/get?secretId=app/db").0,
        400,
        "policy allows it, the configuration has it not"
    );

    let exchanges = broker.exchanges();
    let of_process = agent.run(&["credential-process", "--role", "deploy", "--agent"]);
    let of_process: Value = serde_json::from_slice(&of_process.stdout).unwrap();
    assert_eq!(of_process["SessionToken"], of_endpoint["Token"]);
    assert_eq!(of_process["Expiration"], of_endpoint["Expiration"]);
    let key = agent.run(&["credential-process", "app/ci/aws", "--agent"]);
    let expected = r#"{"Version":1,"AccessKeyId":"AKIAEXAMPLE","SecretAccessKey":"example/secret/access/key"}"#;
    assert_eq!(str::from_utf8(&key.stdout), Ok(expected));
    let missing = agent.run(&["credential-process", "--role", "admin", "--agent"]);
    assert_eq!((missing.status.code(), missing.stdout.len()), (Some(6), 0));
    assert_eq!(broker.exchanges(), exchanges, "the agent answers of what it holds");

    broker.put("app/api-key", "new staple");
    assert!(agent.get("/v1/app/api-key").1.contains("battery staple"), "nobody asked the broker yet");
    assert!(agent.get("/v1/app/api-key?refreshNow=true").1.contains("new staple"));
    agent.until("the file", || fs::read_to_string(agent.path("run/key")).unwrap() == "new staple");
    let url = format!("http://{}/credentials/deploy\n", agent.address);
    agent.until("the command", || fs::read_to_string(agent.path("ran")).is_ok_and(|ran| ran == url.repeat(2)));

    broker.put("app/api-key", "newest staple");
    agent.until("the file", || {
        // One that comes too soon after the last request is not obeyed.
        agent.signal(Signal::HUP);
        fs::read_to_string(agent.path("run/key")).unwrap() == "newest staple"
    });

    let token = fs::read_to_string(agent.path("run/token")).unwrap();
    assert_eq!(agent.end(), Some(0));
    let left: Vec<_> = fs::read_dir(agent.path("run")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
    let log = agent.log();
    for secret in [&*token, "staple", "example/secret", "example/session"] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}

#[test]
fn an_agent_begins_without_the_broker_and_goes_on_without_it() {
    let broker = Broker::start();
    broker.answer(Answer::of(503));
    let mut agent = Agent::start(&broker, ITEMS);
    agent.until("alive", || agent.probe("live") == Some(0));
    assert_eq!(agent.probe("ready"), Some(7));
    assert_eq!(agent.get("/credentials/deploy").0, 503);
    broker.answer(None);
    agent.until("ready", || agent.probe("ready") == Some(0));
    broker.answer(Answer::of(503));
    let (status, secret) = agent.get("/v1/app/api-key?refreshNow=1");
    assert_eq!((status, secret.contains("battery staple")), (200, true), "the last good value");
    assert_eq!(agent.probe("ready"), Some(0));
    assert_eq!(agent.end(), Some(0));
}

#[test]
fn once_is_everything_or_nothing() {
    let broker = Broker::start();
    let folder = environment::folder();
    let items = "[items.key]\nsecret = \"app/api-key\"\nfile = { path = \"key\" }\n\
                 [items.db]\nsecret = \"app/db\"\nmember = \"password\"\nfile = { path = \"db\" }\n";
    let (config, _) = configure(folder.path(), &broker, items);
    let once = || countersign(&["agent", "--once"], &config).output().unwrap();
    assert_eq!(once().status.code(), Some(0));
    assert_eq!(fs::read_to_string(folder.path().join("run/key")).unwrap(), "battery staple");
    assert_eq!(fs::read_to_string(folder.path().join("run/db")).unwrap(), "correct horse");
    assert!(!folder.path().join("run/token").exists(), "nobody would be listened to");

    // What the earlier run left does not outlive the start that fails.
    let one_more = items.replace("app/db", "app/none");
    let (config, _) = configure(folder.path(), &broker, &one_more);
    let failed = countersign(&["agent", "--once"], &config).output().unwrap();
    assert_eq!(failed.status.code(), Some(6), "{}", String::from_utf8_lossy(&failed.stderr));
    assert!(!folder.path().join("run/key").exists());
}

#[test]
fn what_an_earlier_agent_left_is_deleted_where_nothing_comes() {
    let broker = Broker::start();
    broker.answer(Answer { delay: Duration::from_secs(60), ..Answer::of(503) });
    let folder = environment::folder();
    let left = folder.path().join("left");
    fs::write(&left, "old").unwrap();
    let items = format!("[items.key]\nsecret = \"app/api-key\"\nfile = {{ path = \"{}\" }}\n", left.display());
    let begun = Instant::now();
    let agent = Agent::start(&broker, &items);
    agent.until("it asks", || broker.requests() > 0);
    assert!(left.exists() || begun.elapsed() >= Duration::from_secs(10));
    agent.until("what was left is deleted", || !left.exists());
}

#[test]
fn once_ends_where_it_is_asked_to() {
    let broker = Broker::start();
    broker.answer(Answer { delay: Duration::from_secs(30), ..Answer::of(503) });
    let folder = environment::folder();
    let (config, _) = configure(folder.path(), &broker, ITEMS);
    let mut process = countersign(&["agent", "--once"], &config).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    while broker.requests() == 0 {
        assert!(begun.elapsed() < Duration::from_secs(30), "it asks");
        sleep(Duration::from_millis(20));
    }
    kill_process(Pid::from_child(&process), Signal::TERM).unwrap();
    assert_eq!(process.wait().unwrap().code(), Some(128 + 15));
}

#[test]
fn an_agent_that_is_of_use_to_nobody_does_not_start() {
    let broker = Broker::start();
    let folder = environment::folder();
    for (items, message) in [
        (ITEMS.replace("run = [\"/bin/sh\"", "signal = \"HUP\" #"), "no child"),
        (String::new(), "nothing is asked for"),
    ] {
        let (config, _) = configure(folder.path(), &broker, &items);
        let output = countersign(&["agent"], &config).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), told.contains(message)), (Some(2), true), "{told}");
    }
    let (config, _) = configure(folder.path(), &broker, "[items.key]\nsecret = \"app/api-key\"\n");
    let text = fs::read_to_string(&config).unwrap();
    environment::write(&config, text.split("[endpoint]").next().unwrap());
    let output = countersign(&["agent"], &config).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), told.contains("of use to nobody")), (Some(2), true), "{told}");
}
