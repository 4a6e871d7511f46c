use std::{
    fs::{self, File, Permissions},
    io::{Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use protocol::SecretValue;
use rustix::process::geteuid;
use test_support::Log;

use super::{fixture::*, *};
use crate::{
    Error, closed,
    config::{FileSink, Item, Source},
    deliver::folder::Folder,
    new_file::Ownership,
};

fn inode(machine: &Machine, name: &str) -> u64 {
    fs::metadata(machine.runtime.resolve(Path::new(name))).unwrap().ino()
}

fn error_of(failure: Error) -> DeliveryError {
    let Error::Delivery(error) = failure else { panic!("{failure:?}") };
    error
}

#[test]
fn a_file_holds_the_items_bytes_and_is_its_owners_alone() {
    let machine = Machine::new(vec![item_in_file("db", "a/db")]);
    machine.comes_as("db", binary(b"\xffpass\0word"));
    assert!(machine.delivery().write(&names(&["db"])).unwrap());
    let path = machine.runtime.resolve(Path::new("a/db"));
    assert_eq!(fs::read(&path).unwrap(), b"\xffpass\0word");
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o400);
    assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o7777, 0o700);
    assert_eq!(fs::metadata(machine.runtime.path()).unwrap().mode() & 0o7777, 0o700);
}

#[test]
fn what_did_not_change_is_not_written_again() {
    let machine = Machine::new(vec![item_in_file("db", "db"), item_in_file("api", "api")]);
    machine.comes("db", "one");
    machine.comes("api", "key");
    let mut delivery = machine.delivery();
    assert!(delivery.write(&names(&["db", "api"])).unwrap());
    let before = (inode(&machine, "db"), inode(&machine, "api"));
    machine.comes("db", "one");
    assert!(!delivery.write(&names(&["db", "api"])).unwrap());
    assert!(!machine.delivery().write(&names(&["db", "api"])).unwrap(), "another run finds it as it should be");
    assert_eq!((inode(&machine, "db"), inode(&machine, "api")), before);
    machine.comes("db", "two");
    machine.comes("api", "other");
    assert!(delivery.write(&names(&["db"])).unwrap());
    assert_eq!((machine.read("db"), machine.read("api")), ("two".into(), "key".into()));
    assert_ne!(inode(&machine, "db"), before.0);
}

#[test]
fn an_item_that_is_missing_is_an_error_and_the_others_are_written() {
    let machine = Machine::new(vec![item_in_file("a", "a"), item_in_file("b", "b"), item_in_file("c", "c")]);
    machine.comes("a", "1");
    machine.comes("c", "3");
    let mut delivery = machine.delivery();
    let error = error_of(delivery.write(&names(&["a", "b", "c"])).unwrap_err());
    assert!(matches!(&error, DeliveryError::Missing { item } if item.as_str() == "b"), "{error:?}");
    assert_eq!((machine.read("a"), machine.read("c")), ("1".into(), "3".into()));
    assert!(!machine.has("b"));
    machine.comes("c", "4");
    let rewritten = delivery.rewrite(&names(&["b", "c"]));
    assert!(rewritten.changed && rewritten.failures.len() == 1, "{rewritten:?}");
}

#[test]
fn a_file_that_failed_is_tried_again_with_the_next_change() {
    let machine = Machine::new(vec![item_in_file("a", "a"), item_in_file("b", "b")]);
    machine.comes("a", "1");
    machine.comes("b", "1");
    let mut delivery = machine.delivery();
    let place = machine.runtime.resolve(Path::new("a"));
    fs::create_dir(&place).unwrap();
    assert!(
        matches!(error_of(delivery.write(&names(&["a"])).unwrap_err()), DeliveryError::NoFile { path } if path == place)
    );
    fs::remove_dir(&place).unwrap();
    assert!(delivery.write(&names(&["b"])).unwrap());
    assert_eq!((machine.read("a"), machine.read("b")), ("1".into(), "1".into()));
}

#[test]
fn what_ended_is_neither_written_nor_lent_and_its_file_is_withdrawn() {
    let variable = Some("DB".parse().unwrap());
    let machine =
        Machine::new(vec![Item { variable, stdin: true, ..item_in_file("db", "db") }, item_in_file("api", "api")]);
    machine.comes("db", "one");
    machine.comes("api", "key");
    let mut delivery = machine.delivery();
    delivery.write(&names(&["db", "api"])).unwrap();
    machine.clock.advance(Duration::from_secs(3600));
    let missing = |error| matches!(error_of(error), DeliveryError::Missing { item } if item.as_str() == "db");
    assert!(missing(delivery.write(&names(&["db"])).unwrap_err()));
    assert!(missing(delivery.environment().unwrap_err()));
    assert!(missing(delivery.stdin().unwrap_err()));
    delivery.withdraw(&names(&["db"]));
    assert!(!machine.has("db") && machine.has("api"));
    delivery.withdraw(&names(&["db"]));
    machine.comes("db", "two");
    assert!(delivery.write(&names(&["db"])).unwrap());
    delivery.withdraw_all();
    assert!(!machine.has("db") && !machine.has("api"));
    assert!(fs::read_dir(machine.runtime.path()).unwrap().next().is_none());
}

#[test]
fn a_file_is_withdrawn_though_its_folder_is_open_to_others_or_is_another_by_now() {
    let machine = Machine::new(vec![item_in_file("db", "a/db")]);
    machine.comes("db", "one");
    let (folder, aside) = (machine.runtime.resolve(Path::new("a")), machine.runtime.resolve(Path::new("aside")));
    let mut delivery = machine.delivery();
    delivery.write(&names(&["db"])).unwrap();
    fs::set_permissions(&folder, Permissions::from_mode(0o777)).unwrap();
    delivery.withdraw(&names(&["db"]));
    assert!(!machine.has("a/db"));
    fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
    delivery.write(&names(&["db"])).unwrap();
    fs::rename(&folder, &aside).unwrap();
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("db"), "theirs").unwrap();
    delivery.withdraw_all();
    assert!(!aside.join("db").exists() && machine.read("a/db") == "theirs");
}

#[test]
fn what_an_earlier_run_left_is_deleted_or_the_start_fails() {
    let machine = Machine::new(vec![item_in_file("db", "db"), item_in_file("api", "a/api")]);
    fs::write(machine.runtime.resolve(Path::new("db")), "old").unwrap();
    let mut delivery = machine.delivery();
    let folder = machine.runtime.resolve(Path::new("a"));
    fs::set_permissions(&folder, Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(error_of(delivery.clear().unwrap_err()), DeliveryError::OpenToOthers { .. }));
    assert!(!machine.has("db"), "all are tried");
    fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
    delivery.clear().unwrap();
    machine.comes("db", "new");
    delivery.write(&names(&["db"])).unwrap();
    delivery.clear().unwrap();
    assert_eq!(machine.read("db"), "new");
}

#[test]
fn a_template_is_written_again_when_any_item_that_it_speaks_of_changes() {
    let (machine, mut delivery) = with_template(
        "user = {{ items.user }}\n{% if items.user == 'a' %}key = {{ items['api-key'] }}\n{% endif %}pass = {{ value }}\n",
    );
    for item in ["db", "user", "api-key", "other"] {
        machine.comes(item, "a");
    }
    assert!(delivery.write(&names(&["db", "user", "api-key", "other"])).unwrap());
    assert_eq!(machine.read("conf"), "user = a\nkey = a\npass = a\n");
    machine.comes("api-key", "b");
    assert!(delivery.write(&names(&["api-key"])).unwrap());
    assert_eq!(machine.read("conf"), "user = a\nkey = b\npass = a\n");
    machine.comes("other", "b");
    assert!(!delivery.write(&names(&["other"])).unwrap());
    machine.comes("user", "z");
    assert!(delivery.write(&names(&["user"])).unwrap());
    assert_eq!(machine.read("conf"), "user = z\npass = a\n");
    machine.comes("user", "a");
    delivery.write(&names(&["user"])).unwrap();
    delivery.withdraw(&names(&["other"]));
    assert!(machine.has("conf"), "it does not speak of that one");
    delivery.withdraw(&names(&["api-key"]));
    assert!(!machine.has("conf"));
}

#[test]
fn a_template_of_an_earlier_run_is_withdrawn_with_what_it_may_speak_of() {
    let (machine, mut delivery) = with_template("{% for name in items %}{{ items[name] }}{% endfor %}");
    fs::write(machine.runtime.resolve(Path::new("conf")), "old").unwrap();
    delivery.withdraw(&names(&["other"]));
    assert!(!machine.has("conf"));
}

#[test]
fn a_template_without_one_of_its_items_is_not_written() {
    let (machine, mut delivery) = with_template("{{ value }} {{ items.user | default('none') }}");
    machine.comes("db", "pass");
    let error = error_of(delivery.write(&names(&["db"])).unwrap_err());
    assert!(matches!(&error, DeliveryError::Missing { item } if item.as_str() == "user"), "{error:?}");
    assert!(!machine.has("conf"));
    machine.comes("user", "u");
    assert!(delivery.write(&names(&["user"])).unwrap());
    assert_eq!(machine.read("conf"), "pass u");
}

#[test]
fn a_template_that_comes_to_speak_of_what_is_missing_is_written_when_that_comes() {
    let (machine, mut delivery) = with_template("{% if value == 'x' %}{{ items.user }}{% endif %}");
    machine.comes("db", "y");
    delivery.write(&names(&["db"])).unwrap();
    machine.comes("db", "x");
    assert!(matches!(error_of(delivery.write(&names(&["db"])).unwrap_err()), DeliveryError::Missing { .. }));
    machine.comes("user", "u");
    assert!(delivery.write(&names(&["user"])).unwrap());
    assert_eq!(machine.read("conf"), "u");
}

fn with_template(text: &str) -> (Machine, Delivery) {
    let template = tempfile::NamedTempFile::new().unwrap();
    closed::write(template.path(), text);
    let items = vec![item_by_template("db", "conf", template.path()), item("user"), item("api-key"), item("other")];
    let machine = Machine::new(items);
    let delivery = machine.delivery();
    (machine, delivery)
}

#[test]
fn variables_are_one_for_each_item_and_three_for_a_role() {
    let item = |name, variable: &str, source| Item { source, variable: Some(variable.parse().unwrap()), ..item(name) };
    let db = self::item("db").source;
    let role = Source::Role { alias: "nightly".into(), seconds: None };
    let machine =
        Machine::new(vec![item("db", "DB", db), item("aws", "AWS", role), item("api", "TOKEN", Source::AccessToken)]);
    machine.comes("db", "päss\nword=");
    machine.comes_as("aws", credentials());
    machine.comes_as("api", access_token());
    let environment = machine.delivery().environment().unwrap();
    let found: Vec<_> = environment.iter().map(|(name, value)| (name.as_str(), value.expose().as_str())).collect();
    assert_eq!(
        found,
        [
            ("DB", "päss\nword="),
            ("AWS_ACCESS_KEY_ID", "ASIAEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "secret/key"),
            ("AWS_SESSION_TOKEN", "session=="),
            ("TOKEN", "a.b.c"),
        ]
    );
    assert!(!format!("{environment:?}").contains("secret"));
}

#[test]
fn what_cannot_be_a_variable_is_an_error_that_names_the_item() {
    let machine = Machine::new(vec![Item { variable: Some("DB".parse().unwrap()), ..item("db") }]);
    for (value, reason) in [(&b"hunter2\0x"[..], "holds a NUL"), (b"hunter2\xff", "not UTF-8")] {
        machine.comes_as("db", binary(value));
        let error = error_of(machine.delivery().environment().unwrap_err());
        assert!(matches!(&error, DeliveryError::NoVariable { item, .. } if item.as_str() == "db"), "{error:?}");
        let said = format!("{error} {error:?} {}", error.hint());
        assert!(said.contains(reason) && !said.contains("hunter"), "{said}");
    }
}

#[test]
fn a_command_reads_all_of_its_standard_input_and_can_not_change_it() {
    let machine = Machine::new(vec![Item { stdin: true, ..item("db") }]);
    let long: String = (0..60_000).map(|line| format!("{line}\n")).collect();
    for text in ["", "short", long.as_str()] {
        machine.comes("db", text);
        let delivery = machine.delivery();
        for _ in 0..2 {
            let stdin = Stdio::from(delivery.stdin().unwrap().unwrap());
            let output = Command::new("cat").stdin(stdin).output().unwrap();
            assert_eq!((output.stdout.len(), output.stdout == text.as_bytes()), (text.len(), true));
        }
    }
    let mut file = File::from(machine.delivery().stdin().unwrap().unwrap());
    assert!(file.write_all(b"x").is_err() && file.set_len(1).is_err() && file.set_len(1 << 20).is_err());
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, long);
    assert!(Machine::new(vec![item("db")]).delivery().stdin().unwrap().is_none());
}

#[test]
fn a_file_for_another_user_is_his_and_he_gets_to_it() {
    if !geteuid().is_root() {
        return;
    }
    let etc = closed::folder();
    closed::write(etc.path().join("passwd"), format!("app:x:{STRANGER}:7::/:\n"));
    closed::write(etc.path().join("group"), "app:x:7777:\n");
    let sink = FileSink { owner: Some("app:app".parse().unwrap()), mode: "0440".parse().unwrap(), ..file("a/db") };
    let machine = Machine::new(vec![Item { file: Some(sink), ..item("db") }, item_in_file("other", "other")]);
    fs::set_permissions(machine.folder.path(), Permissions::from_mode(0o755)).unwrap();
    machine.comes("db", "one");
    let mut delivery = Delivery::with_accounts(machine.holdings.clone(), &machine.runtime, etc.path()).unwrap();
    assert!(delivery.write(&names(&["db"])).unwrap());
    assert!(!delivery.write(&names(&["db"])).unwrap());
    let path = machine.runtime.resolve(Path::new("a/db"));
    let metadata = fs::metadata(&path).unwrap();
    assert_eq!((metadata.uid(), metadata.gid(), metadata.mode() & 0o7777), (STRANGER, 7777, 0o440));
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!((mode(path.parent().unwrap()), mode(machine.runtime.path())), (0o711, 0o711));
    let read = |uid| {
        use std::os::unix::process::CommandExt as _;
        Command::new("cat").arg(&path).uid(uid).gid(9).output().unwrap().stdout
    };
    assert_eq!((read(STRANGER), read(STRANGER + 1)), (b"one".to_vec(), Vec::new()));
}

#[test]
fn a_folder_that_was_there_is_left_as_it_is() {
    let sink = FileSink { mode: "0444".parse().unwrap(), ..file("db") };
    let machine = Machine::new(vec![Item { file: Some(sink), ..item("db") }]);
    let runtime = RuntimeFolder::new(Some(machine.runtime.path())).unwrap();
    Delivery::new(machine.holdings.clone(), &runtime).unwrap();
    assert_eq!(fs::metadata(runtime.path()).unwrap().mode() & 0o7777, 0o700);
}

#[test]
fn a_configuration_that_can_not_be_is_refused_at_the_start() {
    let owner = |owner: &str| FileSink { owner: Some(owner.parse().unwrap()), ..file("db") };
    for (sink, expected) in [
        (file("../db"), "../db is not a file's path"),
        (file("a/../../db"), "db is not a file's path"),
        (file("/"), "/ is not a file's path"),
        (owner("nobody-of-this-name"), "there is no user nobody-of-this-name"),
        (FileSink { template: Some("/nowhere/x.j2".into()), ..file("db") }, "template /nowhere/x.j2 cannot be used"),
    ] {
        let machine = Machine::new(vec![Item { file: Some(sink), ..item("db") }]);
        let Err(error) = Delivery::new(machine.holdings.clone(), &machine.runtime) else { panic!("{expected}") };
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(error.exit_code(), 2, "{error}");
    }
}

#[test]
fn a_secret_of_bytes_can_not_be_in_a_template_that_speaks_of_it() {
    let (machine, mut delivery) = with_template("{{ value }}{% if value == 'x' %}{{ items.user }}{% endif %}");
    machine.comes_as("user", binary(b"hunter2\xff"));
    machine.comes_as("db", secret(SecretValue::Text(protocol::Secret::new("y".into()))));
    assert!(delivery.write(&names(&["db"])).unwrap());
    machine.comes("db", "x");
    let error = error_of(delivery.write(&names(&["db"])).unwrap_err());
    assert!(matches!(&error, DeliveryError::TemplateItem { source, .. } if source.0.as_str() == "user"), "{error:?}");
    assert!(!format!("{error:?} {error}").contains("hunter"));
    assert_eq!(machine.read("conf"), "y", "the last good file stays");
}

#[test]
fn a_file_on_a_disk_is_warned_about_once_and_one_in_memory_is_not() {
    if !Path::new("/dev/shm").is_dir() {
        return;
    }
    let memory = closed::folder_in("/dev/shm");
    let disk = closed::folder_in("/var/tmp");
    if Folder::open(disk.path(), Ownership::default(), None).unwrap().is_in_memory().unwrap() {
        return;
    }
    let paths = [memory.path().join("in-memory"), disk.path().join("on-disk")];
    let machine = Machine::new(vec![item_in_file("a", &paths[0]), item_in_file("b", &paths[1])]);
    machine.comes("a", "hunter2");
    machine.comes("b", "hunter2");
    let log = Log::start();
    let mut delivery = machine.delivery();
    for _ in 0..2 {
        delivery.write(&names(&["a", "b"])).unwrap();
    }
    delivery.withdraw_all();
    let log = log.text();
    let warnings: Vec<_> = log.lines().filter(|line| line.contains("WARN")).collect();
    assert!(warnings.len() == 1 && warnings[0].contains(paths[1].to_str().unwrap()), "{log}");
    assert!(log.contains("file withdrawn") && !log.contains("hunter"), "{log}");
}
