//! `countersign doctor`: each kind of trouble is made for real, and is told apart from the others.
#![allow(clippy::unwrap_used, clippy::panic)]

mod broker;
mod environment;
mod stub;

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Output,
    thread::sleep,
    time::{Duration, Instant},
};

use broker::{Answer, Broker};
use ports::{Clock as _, SystemClock};
use serde_json::Value;
use stub::{Stub, TlsServer};
use tempfile::TempDir;

/// A machine whose doctor is asked.
struct Machine {
    folder: TempDir,
    runtime: TempDir,
    variables: Vec<(&'static str, String)>,
}

/// What the doctor says.
struct Diagnosis {
    output: Output,
    report: Value,
}

impl Machine {
    /// A machine with the broker's material.
    fn of(broker: &Broker) -> Self {
        let machine = Self::without_material();
        broker.write_material(&machine.material());
        machine
    }

    fn without_material() -> Self {
        let runtime = environment::folder_in("/dev/shm");
        Self { folder: environment::folder(), runtime, variables: Vec::new() }
    }

    fn material(&self) -> PathBuf {
        self.folder.path().join("material")
    }

    fn set(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// Asks with these arguments, beside those that say which machine it is.
    fn ask(&self, arguments: &[&str]) -> Diagnosis {
        let output = environment::countersign()
            .args(["doctor", "--json", "--group", "web", "--timeout", "20"])
            .args(arguments)
            .env_clear()
            .env("COUNTERSIGN_MATERIAL", self.material())
            .env("XDG_RUNTIME_DIR", self.runtime.path())
            .envs(self.variables.iter().cloned())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let report = serde_json::from_str(&text);
        let report = report.unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
        Diagnosis { output, report }
    }
}

impl Diagnosis {
    /// Outcome and text of the first finding of a check.
    fn of(&self, check: &str) -> (&str, &str) {
        let finding = self.all(check).next().unwrap_or_else(|| panic!("no {check}: {:#}", self.report));
        (finding["outcome"].as_str().unwrap(), finding["found"].as_str().unwrap())
    }

    fn all(&self, check: &str) -> impl Iterator<Item = &Value> {
        let findings = self.report["findings"].as_array().unwrap();
        findings.iter().filter(move |finding| finding["check"] == check)
    }

    /// The hint of the first finding of a check.
    fn hint(&self, check: &str) -> &str {
        self.all(check).next().unwrap()["hint"].as_str().unwrap()
    }

    /// The exit code, which the report tells as well.
    fn code(&self) -> i32 {
        let code = self.output.status.code().unwrap();
        assert_eq!(self.report["exit_code"], code, "{:#}", self.report);
        code
    }

    /// Whether this check failed first, with this code, and its text has this in it.
    fn fails_by(&self, check: &str, code: i32, text: &str) {
        assert_eq!(self.code(), code, "{:#}", self.report);
        let findings = self.report["findings"].as_array().unwrap();
        let first = findings.iter().find(|finding| finding["outcome"] == "failed").unwrap();
        assert_eq!(first["check"], check, "{:#}", self.report);
        assert!(first["found"].as_str().unwrap().contains(text), "{:#}", self.report);
        assert!(!first["hint"].as_str().unwrap().is_empty());
    }

    /// Whether none of these were tried.
    fn skips(&self, checks: &[&str]) {
        for check in checks {
            assert_eq!(self.of(check).0, "not_tried", "{:#}", self.report);
        }
    }
}

const DB: [&str; 2] = ["--env", "DB_PASSWORD=secret:app/db#password"];

#[test]
fn where_all_is_well_every_check_says_so_and_no_value_is_shown() {
    let broker = Broker::start();
    let machine = Machine::of(&broker);
    let files = ["--file", "key=secret:app/api-key", "--env", "AWS=role:deploy", "--env", "TOKEN=access-token"];
    let well = machine.ask(&[&DB[..], &files].concat());
    assert_eq!(well.code(), 0);
    let findings = well.report["findings"].as_array().unwrap();
    let outcomes: Vec<_> = findings.iter().map(|finding| (&finding["check"], &finding["outcome"])).collect();
    let of = |outcome: &str| findings.iter().filter(|finding| finding["outcome"] == outcome).count();
    assert_eq!((of("ok"), findings.len()), (13, 13), "{outcomes:?}");
    assert_eq!(well.all("item").count(), 4);
    let shown = String::from_utf8_lossy(&well.output.stdout);
    for value in ["correct horse", "battery staple", "example/secret/access/key", "eyJ"] {
        assert!(!shown.contains(value), "{shown}");
    }
    assert!(well.output.stderr.is_empty());
    assert_eq!(fs::read_dir(machine.runtime.path()).unwrap().count(), 0, "nothing stays of what was tried");
}

#[test]
fn a_wrong_configuration_ends_it() {
    let machine = Machine::without_material();
    let path = machine.folder.path().join("countersign.toml");
    environment::write(&path, "[items.db]\nsecrets = \"app/db\"\n");
    let wrong = machine.ask(&["--config", path.to_str().unwrap()]);
    wrong.fails_by("configuration", 2, "line 2");
    wrong.skips(&["permissions", "material", "name", "connection", "broker", "clock", "generation", "item"]);
}

#[test]
fn a_clock_is_held_against_the_brokers() {
    let broker = Broker::start();
    let machine = Machine::of(&broker);
    for (seconds, outcome, code) in
        [(0, "ok", 0), (-10, "warning", 0), (20, "warning", 0), (40, "failed", 1), (-3600, "failed", 1)]
    {
        let stub = Stub::healthy_at(SystemClock.unix_seconds().checked_add_signed(seconds).unwrap());
        let told = machine.ask(&["--url", &stub.url]);
        let (found, text) = told.of("clock");
        assert_eq!((found, told.code()), (outcome, code), "{seconds}: {text}");
        match seconds {
            0 => {}
            ..0 => assert!(text.contains("ahead of"), "{text}"),
            _ => assert!(text.contains("behind"), "{text}"),
        }
    }
    assert_eq!(machine.ask(&["--url", &Stub::timeless().url]).of("clock").0, "warning");
}

#[test]
fn material_is_there_closed_to_others_and_whole() {
    let broker = Broker::start();
    let nothing = Machine::without_material().ask(&["--url", &broker.url]);
    nothing.fails_by("material", 3, "no material");
    assert_eq!(nothing.of("broker").0, "ok", "what does not need material is tried");
    nothing.skips(&["generation", "item"]);

    let machine = Machine::of(&broker);
    let pools = machine.material().join("groups/web/pools");
    let pool = fs::read_dir(pools).unwrap().next().unwrap().unwrap().path();
    fs::set_permissions(&pool, Permissions::from_mode(0o644)).unwrap();
    let open = machine.ask(&DB);
    open.fails_by("material", 3, "open to others: mode 0644");
    assert_eq!(open.hint("material"), format!("chmod 600 {}", pool.display()));
    fs::set_permissions(&pool, Permissions::from_mode(0o600)).unwrap();
    assert_eq!(machine.ask(&DB).code(), 0);

    let mut bytes = fs::read(&pool).unwrap();
    bytes[4711] ^= 1;
    fs::write(&pool, bytes).unwrap();
    machine.ask(&DB).fails_by("material", 3, "damaged");
}

/// Where doctors lend material.
fn lent_folders() -> Vec<PathBuf> {
    let paths = fs::read_dir("/dev/shm").unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.to_string_lossy().contains("/countersign-doctor-")).collect()
}

#[test]
fn missing_material_is_lent_by_its_origin_and_not_stored() {
    let broker = Broker::start();
    let machine = Machine::without_material();
    let origin = machine.folder.path().join("origin");
    broker.write_material(&origin);
    let before = lent_folders();
    let lent = machine.ask(&[&DB[..], &["--from", origin.to_str().unwrap()]].concat());
    assert_eq!(lent.code(), 0, "{:#}", lent.report);
    assert_eq!((lent.of("material").0, lent.of("origin").0, lent.of("item").0), ("warning", "ok", "ok"));
    assert!(!machine.material().exists());
    let since = lent_folders().into_iter().filter(|folder| !before.contains(folder));
    // Another run of the tests may lend at this moment: what is its goes by itself.
    let (since, began) = (since.collect::<Vec<_>>(), Instant::now());
    while since.iter().any(|folder| folder.exists()) {
        assert!(began.elapsed() < Duration::from_secs(30), "it stays: {since:?}");
        sleep(Duration::from_millis(20));
    }

    machine.ask(&["--from", "/nowhere"]).fails_by("origin", 3, "cannot pull");
    let named = machine.ask(&["--from", "https://nothing.invalid/keys"]);
    named.fails_by("name", 7, "nothing.invalid is not known");
    named.skips(&["origin", "connection", "item"]);
}

#[test]
fn what_is_older_than_the_brokers_generation_is_said_to_be() {
    let broker = Broker::start();
    let accepted = Machine::of(&broker);
    broker.rotate(Duration::from_secs(3600));
    let older = accepted.ask(&DB);
    assert_eq!((older.code(), older.of("generation").0), (0, "warning"), "{:#}", older.report);
    assert!(older.of("generation").1.starts_with("1 is accepted until 20"), "{:#}", older.report);

    let broker = Broker::start();
    let ended = Machine::of(&broker);
    broker.rotate(Duration::ZERO);
    ended.ask(&DB).fails_by("generation", 3, "1 has ended: the broker has 2");
}

#[test]
fn a_name_that_nobody_knows_is_told_from_a_port_that_is_closed() {
    let machine = Machine::of(&Broker::start());
    let unknown = machine.ask(&["--url", "https://nothing.invalid"]);
    unknown.fails_by("name", 7, "nothing.invalid is not known");
    unknown.skips(&["connection", "certificate", "broker", "clock", "generation", "item"]);
    // The broker that gave the material is gone.
    let closed = machine.ask(&[]);
    closed.fails_by("connection", 7, "refused");
    assert_eq!(closed.of("name"), ("ok", "127.0.0.1 is an address"));
    closed.skips(&["certificate", "broker", "clock", "generation", "item"]);
}

#[test]
fn a_certificate_is_told_from_a_connection() {
    let machine = Machine::of(&Broker::start());
    let distrusted = machine.ask(&["--url", &TlsServer::self_signed().url]);
    distrusted.fails_by("certificate", 7, "not trusted");
    assert_eq!(distrusted.of("connection").0, "ok");
    distrusted.skips(&["broker", "clock", "generation", "item"]);
    let plain = machine.ask(&["--url", &Stub::of(404).url.replace("http:", "https:")]);
    plain.fails_by("certificate", 7, "does not speak TLS");
    let server = TlsServer::self_signed();
    let trusting = machine.set("SSL_CERT_FILE", server.certificate.to_str().unwrap());
    let trusted = trusting.ask(&["--url", &server.url]);
    assert_eq!(trusted.of("certificate").0, "ok", "{:#}", trusted.report);
    trusted.fails_by("broker", 8, "is not a broker");
}

#[test]
fn where_a_proxy_is_set_this_machine_need_not_know_the_name() {
    let machine = Machine::of(&Broker::start()).set("HTTPS_PROXY", "http://127.0.0.1:1");
    let proxied = machine.ask(&["--url", "https://nothing.invalid"]);
    assert_eq!((proxied.of("name").0, proxied.of("connection").0), ("warning", "warning"));
    assert!(proxied.hint("name").contains("HTTPS_PROXY"));
    proxied.fails_by("certificate", 7, "the connection to nothing.invalid broke");
}

#[test]
fn what_answers_is_a_broker_and_well() {
    let broker = Broker::start();
    let machine = Machine::of(&broker);
    let foreign = machine.ask(&["--url", &Stub::of(404).url]);
    foreign.fails_by("broker", 8, "is not a broker");
    foreign.skips(&["clock", "generation", "item"]);
    broker.answer(Answer::of(503));
    machine.ask(&DB).fails_by("broker", 7, "status 503");
    broker.answer(None);
    assert_eq!(machine.ask(&DB).code(), 0);
}

#[test]
fn an_item_that_is_denied_takes_no_other_down() {
    let broker = Broker::start();
    let machine = Machine::of(&broker);
    let root = ["--env", "ROOT=secret:ops/root", "--env", "NONE=secret:app/none", "--env", "USER=secret:app/db#name"];
    let denied = machine.ask(&[&DB[..], &root].concat());
    denied.fails_by("item", 5, "root: policy does not allow: secret ops/root");
    let outcomes: Vec<_> = denied.all("item").map(|item| (&item["outcome"], &item["exit_code"])).collect();
    let expected = [("ok", 0), ("failed", 5), ("failed", 6), ("failed", 6)];
    assert_eq!(outcomes.len(), expected.len(), "{:#}", denied.report);
    for ((outcome, code), expected) in outcomes.into_iter().zip(expected) {
        assert_eq!((outcome.as_str().unwrap(), code.as_u64().unwrap()), expected, "{:#}", denied.report);
    }
}

#[test]
fn files_go_where_they_can_be_put() {
    let broker = Broker::start();
    let machine = Machine::of(&broker);
    let written = |items: &str| {
        let path = machine.folder.path().join("countersign.toml");
        environment::write(&path, items);
        machine.ask(&["--config", path.to_str().unwrap()])
    };
    let file = |file: &str| written(&format!("[items.db]\nsecret = \"app/db\"\nfile = {{ {file} }}\n"));
    file(r#"path = "db", owner = "nobody-here""#).fails_by("permissions", 2, "there is no user nobody-here");
    file(r#"path = "/proc/none/db""#).fails_by("permissions", 1, "cannot open the folder /proc/none");
    file(r#"path = "db", template = "none.j2""#).fails_by("permissions", 2, "none.j2 cannot be used");
    let on_disk = file(&format!("path = \"{}/new/db\"", machine.folder.path().display()));
    let second = on_disk.all("permissions").nth(1).unwrap();
    assert_eq!((&second["outcome"], on_disk.code()), (&"warning".into(), 0), "{:#}", on_disk.report);
    assert!(!machine.folder.path().join("new").exists());
    let in_memory = environment::folder_in("/dev/shm");
    let fine = file(&format!("path = \"{}/db\", mode = \"0440\", owner = \"0:0\"", in_memory.path().display()));
    assert!(fine.all("permissions").all(|finding| finding["outcome"] == "ok"), "{:#}", fine.report);
    assert_eq!(fs::read_dir(in_memory.path()).unwrap().count(), 0);
}

#[test]
fn a_person_reads_a_line_for_each_and_what_to_do() {
    let broker = Broker::start();
    let machine = Machine::of(&broker);
    let output = environment::countersign()
        .args(["doctor", "--material", machine.material().to_str().unwrap(), "--env", "ROOT=secret:ops/root"])
        .env_clear()
        .env("XDG_RUNTIME_DIR", machine.runtime.path())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(output.status.code(), Some(5));
    assert!(lines[0].starts_with("ok         configuration  one item"), "{text}");
    let failed = lines.iter().position(|line| line.starts_with("FAILED     item")).unwrap();
    assert!(lines[failed + 1].trim_start().starts_with("hint: "), "{text}");
    assert!(Path::new(&machine.material()).exists());
}
