//! What every command prints: `transcripts/*.trycmd`, run with a broker, a step-ca, an ssh-agent and AWS in this
//! process.
//!
//! A unit test of the command holds the list of them against its commands: `src/transcript_tests.rs`. `TRYCMD=overwrite` writes anew
//! what is printed; what truly varies is `[..]` there.
#![cfg(feature = "operator")]
#![allow(clippy::unwrap_used)]

mod broker;
mod ca;
mod environment;
mod ssh_agent;

use std::{
    env,
    fs::{self, DirBuilder},
    net::TcpListener,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, symlink},
    path::Path,
};

use broker::Broker;
use ca::TestCa;
use pki::{DeviceKey, KeyKind, Subject, SubjectFields};
use ports::RegistrationTask;
use ssh_agent::SshAgent;

#[test]
fn commands_print_what_their_transcripts_say() {
    if environment::is_tried_elsewhere("commands_print_what_their_transcripts_say") {
        return;
    }
    let (broker, ca, agent) = (Broker::start(), TestCa::start(), SshAgent::start());
    broker.serve_ca(ca.json());
    broker.objects.put("ssh-keys/ops.pub", agent.public.as_str());
    let folder = environment::folder();
    // What is delivered there is in memory; the transcripts find it as `run`.
    let runtime = environment::folder_in("/dev/shm");
    symlink(runtime.path(), folder.path().join("run")).unwrap();
    // They run at once: a doctor that found it missing would delete it under another command.
    DirBuilder::new().mode(0o700).create(runtime.path().join("countersign")).unwrap();
    furnish(folder.path(), &broker);
    broker.codes.write_into(&folder.path().join("codes"));
    fs::write(folder.path().join("ott"), ca.token("frank", &[], "frank")).unwrap();
    configure(folder.path());
    // One for each transcript: they run at once.
    let agents = [("[ONCE]", "once"), ("[PROBED]", "probed"), ("[ASKED]", "asked")]
        .map(|(variable, name)| (variable, configure_agent(folder.path(), name)));
    // Commands run there. This is the only test of its process.
    env::set_current_dir(folder.path()).unwrap();
    let command = Path::new(env!("CARGO_BIN_EXE_countersign"));
    let cases = trycmd::TestCases::new();
    cases.register_bin("countersign", command);
    // A variable of one step is set by `env`: those of all steps go before those of one.
    for tool in ["bash", "cat", "env", "ls", "sh"] {
        cases.register_bin(tool, Path::new("/usr/bin").join(tool).as_path());
    }
    let path = format!("{}:{}", command.parent().unwrap().display(), env::var("PATH").unwrap());
    for (name, value) in [
        ("PATH", path.as_str()),
        ("HOME", "home"),
        ("XDG_STATE_HOME", "state"),
        ("XDG_RUNTIME_DIR", runtime.path().to_str().unwrap()),
        ("COUNTERSIGN_LOG", "warn"),
        ("SSH_AUTH_SOCK", agent.socket.to_str().unwrap()),
        ("BROKER", &broker.url),
        ("FEDERATION", &format!("{}/federation", broker.url)),
        ("NPM_REGISTRY", &format!("{}/npm", broker.url)),
        ("NPM_TOKEN", "example"),
        ("AWS_ENDPOINT_URL", &broker.url),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "example"),
        ("AWS_SESSION_TOKEN", ""),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ] {
        cases.env(name, value);
    }
    for (name, address) in agents {
        cases.insert_var(name, address).unwrap();
    }
    cases.insert_var("[URL]", broker.url.clone()).unwrap();
    cases.insert_var("[CA]", ca.url.to_string()).unwrap();
    cases.insert_var("[FINGERPRINT]", ca.fingerprint.to_string()).unwrap();
    cases.insert_var("[KEY]", agent.fingerprint.clone()).unwrap();
    cases.insert_var("[SOCKET]", agent.socket.to_str().unwrap().to_owned()).unwrap();
    cases.insert_var("[RUNTIME]", runtime.path().to_str().unwrap().to_owned()).unwrap();
    cases.case(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/transcripts/*.trycmd"));
    cases.run();
}

/// Configurations: of a child, of an agent, and two that are none.
fn configure(folder: &Path) {
    let child = r#"
group = "web"
runtime = "/run/app"

[items.db]
secret = "app/db"
member = "password"
env = "DB_PASSWORD"
file = { path = "db-password", mode = "0440", owner = "app:app" }

[items.aws]
role = "deploy"
env = "AWS"

[on_change]
run = ["nginx", "-s", "reload"]
"#;
    environment::write(folder.join("countersign.toml"), child);
    environment::write(folder.join("wrong.toml"), "[items.db]\nsecret = \"app/db\"\nenvironment = \"DB\"\n");
    fs::write(folder.join("open.toml"), child).unwrap();
    fs::set_permissions(folder.join("open.toml"), fs::Permissions::from_mode(0o666)).unwrap();
}

/// The configuration of an agent, and where it listens.
fn configure_agent(folder: &Path, name: &str) -> String {
    // Free now, and by its number unlikely to be taken until the agent is there.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let text = format!(
        r#"
group = "web"
runtime = "{}/run-{name}"

[items.api-key]
secret = "app/api-key"
file = {{ path = "api-key" }}

[items.ci]
secret = "app/ci/aws"

[items.aws]
role = "deploy"

[endpoint]
listen = "{address}"
"#,
        folder.display()
    );
    environment::write(folder.join(format!("{name}.toml")), text);
    address
}

/// What the transcripts find: material, good and bad, and files for the commands that take some.
fn furnish(folder: &Path, broker: &Broker) {
    broker.write_material(&folder.join("origin"));
    for state in ["state", "open", "damaged"] {
        broker.write_material(&folder.join(state).join("countersign"));
    }
    let manifest = |state: &str| folder.join(state).join("countersign/groups/web/manifest.json");
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    mode(&manifest("open"), 0o666);
    fs::write(manifest("damaged"), "{}").unwrap();
    let rows = ["lamp-8", "lamp-9"].map(|name| format!("{{\"ThingName\":\"{name}\"}}\n"));
    fs::write(folder.join("lamps.jsonl"), rows.concat()).unwrap();
    let fields = SubjectFields { common_name: Some("lamp-2".into()), ..SubjectFields::default() };
    let csr = DeviceKey::generate(KeyKind::EcdsaP256).unwrap().csr(&Subject::new(&fields).unwrap()).unwrap();
    fs::write(folder.join("lamp-2.csr"), csr.to_pem()).unwrap();
    let vector = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/step-ca/key-compact.json");
    let vector: serde_json::Value = serde_json::from_slice(&fs::read(vector).unwrap()).unwrap();
    fs::write(folder.join("encrypted-key"), vector["jwe"].as_str().unwrap()).unwrap();
    fs::write(folder.join("password"), vector["password"].as_str().unwrap()).unwrap();
    fs::write(folder.join("audit.jsonl"), Broker::AUDIT_LOG).unwrap();
    let task = RegistrationTask {
        id: "0b4a7d6e".into(),
        status: "Completed".into(),
        bucket: "bucket".into(),
        key: "bulk/bare/0b4a7d6e.jsonl".into(),
        created_at: 1_790_000_000,
        modified_at: 1_790_000_060,
        success_count: 2,
        failure_count: 0,
        percentage: 100,
    };
    broker.devices.iot.state().tasks.insert(task.id.clone(), task);
}
