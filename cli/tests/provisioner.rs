//! `countersign ca step provisioner` against a CA and AWS in this process.
#![cfg(feature = "operator")]
#![allow(clippy::unwrap_used)]

mod broker;
mod ca;
mod environment;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use broker::Broker;
use ca::{Instead, TestCa};
use serde_json::{Value, json};
use step::RootFingerprint;

fn command(arguments: &[&str]) -> Command {
    let mut command = environment::countersign();
    command.args(["ca", "step", "provisioner"]).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// With AWS, which is the broker's.
fn order(broker: &Broker, url: &str, fingerprint: &RootFingerprint, arguments: &[&str]) -> Command {
    let fingerprint = fingerprint.to_string();
    let of_the_ca = ["--ca-url", url, "--fingerprint", &fingerprint, "--bucket", "countersign-bucket"];
    let mut command = command(&[arguments, &of_the_ca].concat());
    for (name, value) in [
        ("AWS_ENDPOINT_URL", broker.url.as_str()),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "example"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        // By default they are the files of who runs the tests.
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
    ] {
        command.env(name, value);
    }
    command
}

/// Whether the broker has a key: an import that comes to nothing is refused at once where it would replace one.
fn is_stored(broker: &Broker, ca: &TestCa) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("no-key");
    fs::write(&file, "{\"kty\":\"EC\"}").unwrap();
    let output =
        order(broker, ca.url.as_str(), &ca.fingerprint, &["--type", "jwk", "--import", file.to_str().unwrap()])
            .output()
            .unwrap();
    match output.status.code() {
        Some(3) => false,
        Some(4) => true,
        other => unreachable!("{other:?}: {}", String::from_utf8_lossy(&output.stderr)),
    }
}

/// The provisioner that a command prints before it waits.
fn printed(child: &mut Child) -> Value {
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    let mut text = String::new();
    loop {
        text.push_str(&lines.next().expect("it prints a provisioner").unwrap());
        if let Ok(provisioner) = serde_json::from_str(&text) {
            return provisioner;
        }
    }
}

fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "never: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_key_is_stored_once_the_ca_lists_its_provisioner() {
    let (broker, ca) = (Broker::start(), TestCa::start());
    let mut waiting = order(&broker, ca.url.as_str(), &ca.fingerprint, &["--type", "jwk", "--wait"]).spawn().unwrap();
    let provisioner = printed(&mut waiting);
    let asked = || ca.requests("/provisioners").len();
    let asks_again = |waiting: &mut Child| {
        let before = asked();
        eventually("the CA is asked again", || asked() > before);
        assert!(waiting.try_wait().unwrap().is_none() && !is_stored(&broker, &ca));
    };
    asks_again(&mut waiting);
    // Another key of this name, and a CA that is started anew.
    let mut other = provisioner.clone();
    other["key"]["kid"] = "another".into();
    ca.provide([other.clone()]);
    asks_again(&mut waiting);
    ca.answer("/provisioners", Instead::Answer(503, "{}".into()));
    asks_again(&mut waiting);
    ca.answer("/provisioners", None);
    other["name"] = "another".into();
    ca.provide([other, provisioner]);
    let ended = waiting.wait_with_output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    assert!(is_stored(&broker, &ca));
}

#[test]
fn another_ca_is_not_waited_for() {
    let (broker, ca, other) = (Broker::start(), TestCa::start(), TestCa::start());
    let output = order(&broker, ca.url.as_str(), &other.fingerprint, &["--type", "jwk", "--wait"]).output().unwrap();
    assert_eq!(output.status.code(), Some(8), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!is_stored(&broker, &ca));
}

/// `--check` of a CA with these provisioners: exit code, standard output, standard error.
fn check(ca: &TestCa, provisioners: &[Value]) -> (Option<i32>, String, String) {
    ca.provide(provisioners.to_vec());
    let Output { status, stdout, stderr } =
        command(&["--check", ca.url.as_str(), "--fingerprint", &ca.fingerprint.to_string()]).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn a_ca_that_gives_out_an_encrypted_key_is_told_from_one_that_does_not() {
    let ca = TestCa::start();
    let safe = [
        json!({ "type": "JWK", "name": "countersign", "key": { "kid": "first" } }),
        json!({ "type": "X5C", "name": "others", "roots": "LS0t" }),
        json!({ "type": "ACME", "name": "acme" }),
    ];
    let (code, printed, _) = check(&ca, &safe);
    assert_eq!((code, printed.lines().count(), printed.matches("not given out").count()), (Some(0), 4, 3), "{printed}");
    let listed =
        json!({ "type": "JWK", "name": "leaky\u{1b}[2J", "key": { "kid": "second" }, "encryptedKey": "a.b.c.d.e" });
    let (code, printed, said) = check(&ca, &[&safe[..], &[listed]].concat());
    assert_eq!(code, Some(4));
    assert!(said.contains("encrypted private key of leaky?[2J") && said.contains("hint: "), "{said}");
    assert!(!printed.contains(['\u{1b}', '\u{7}']) && !printed.contains("a.b.c.d.e") && !said.contains("a.b.c.d.e"));
    // Of one that is not listed with its key.
    ca.give_out("first", "a.b.c.d.e");
    let (code, printed, said) = check(&ca, &safe);
    assert!(code == Some(4) && printed.contains("given to who asks") && said.contains("key of countersign"), "{said}");
}

#[test]
fn what_is_checked_is_the_ca_of_the_root() {
    let (ca, other) = (TestCa::start(), TestCa::start());
    let folder = tempfile::tempdir().unwrap();
    for (root, code) in [(ca.root(), 0), (other.root(), 8)] {
        let file = folder.path().join("root.pem");
        fs::write(&file, root.to_pem()).unwrap();
        let output = command(&["--check", ca.url.as_str(), "--timeout", "2", "--root"]).arg(&file).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let output = command(&["--check", ca.url.as_str()]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "without a root anybody could answer");
}
