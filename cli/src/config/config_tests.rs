//! What a configuration is: every member, what goes before what, and from where it is read.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use protocol::Want;

use super::*;
use crate::{Error, closed};

fn file(text: &str) -> Option<ConfigFile> {
    Some(ConfigFile::parse(text, Path::new("/etc/app/countersign.toml")).unwrap())
}

fn config(text: &str) -> Config {
    Config::new(file(text), Given::default()).unwrap()
}

fn item(config: &Config, name: &str) -> Item {
    config.items.iter().find(|item| item.name.as_str() == name).cloned().unwrap()
}

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

/// The blocks of a page that are configurations.
fn blocks(page: &str) -> Vec<String> {
    let blocks = page.split("```toml\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap().to_owned()).collect()
}

/// The configurations in a manifest of Kubernetes.
fn config_maps(manifest: &str) -> Vec<String> {
    let maps = manifest.split("  countersign.toml: |\n").skip(1);
    let indented = |line: &&str| line.is_empty() || line.starts_with("    ");
    let text = |map: &str| map.lines().take_while(indented).map(|line| line.trim_start().to_owned() + "\n").collect();
    maps.map(text).collect()
}

/// Every configuration of the pages and of the examples, with the file that it is in.
fn documented(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let read = || fs::read_to_string(&path).unwrap();
        let texts = match path.extension().and_then(|extension| extension.to_str()) {
            _ if path.is_dir() => {
                all.extend(documented(&path));
                continue;
            }
            Some("md") => blocks(&read()),
            Some("toml") => vec![read()],
            Some("yaml") => config_maps(&read()),
            _ => continue,
        };
        all.extend(texts.into_iter().map(|text| (path.clone(), text)));
    }
    all
}

#[test]
fn every_configuration_of_the_pages_and_examples_is_one() {
    let documented = documented(&docs());
    assert!(documented.iter().any(|(path, _)| path.ends_with("docs/configuration.md")));
    for (path, text) in documented {
        let file = ConfigFile::parse(&text, &path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let config = Config::new(Some(file), Given::default());
        let config = config.unwrap_or_else(|error| panic!("{}: {error:?}", path.display()));
        assert!(config.asks_for_something().is_ok(), "{}", path.display());
    }
}

#[test]
fn the_complete_example_is_what_the_page_says() {
    let config = config(&blocks(&fs::read_to_string(docs().join("configuration.md")).unwrap())[0]);
    assert_eq!(
        config.broker,
        BrokerSettings {
            group: Some("web".parse().unwrap()),
            from: Some("s3://countersign-bucket".parse().unwrap()),
            material: Some("/material".into()),
            url: Some("https://broker.example.com/prod".into()),
            timeout: Duration::from_secs(120),
        }
    );
    assert_eq!(config.runtime, Some("/run/app".into()));
    assert_eq!(
        item(&config, "db"),
        Item {
            name: "db".parse().unwrap(),
            source: Source::Secret {
                id: "app/db".into(),
                version_id: None,
                version_stage: Some("AWSCURRENT".into()),
                member: Some(Member::new("password")),
            },
            variable: Some("DB_PASSWORD".parse().unwrap()),
            file: Some(FileSink {
                path: "db.conf".into(),
                mode: "0440".parse().unwrap(),
                owner: Some("app:app".parse().unwrap()),
                template: Some("/etc/app/db.conf.j2".into()),
            }),
            stdin: true,
            keep: Duration::from_secs(12 * 60 * 60),
            on_change: true,
        }
    );
    assert_eq!(item(&config, "aws").source, Source::Role { alias: "nightly".into(), seconds: Some(3600) });
    assert_eq!(item(&config, "aws").variables(), ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]);
    assert!(!item(&config, "aws").on_change);
    assert_eq!(item(&config, "api").source, Source::AccessToken);
    assert_eq!(item(&config, "api").file.unwrap().mode, FileMode::OWNER_READS);
    assert_eq!(
        config.refresh,
        RefreshSettings {
            interval: Duration::from_secs(600),
            min_interval: Duration::from_secs(60),
            max_backoff: Duration::from_secs(120),
            splay: Duration::from_secs(10),
        }
    );
    assert_eq!(config.on_change, Some(OnChange::Run(vec!["nginx".into(), "-s".into(), "reload".into()])));
    assert_eq!(
        config.child,
        ChildSettings {
            stop_signal: Signal::Quit,
            grace: Duration::from_secs(30),
            at_use_by: AtUseBy::Stop,
            inherit: Inherit::These(vec!["PATH".into(), "HOME".into()]),
        }
    );
    assert_eq!(
        config.endpoint,
        Some(EndpointSettings {
            listen: "0.0.0.0:2773".parse().unwrap(),
            allow_remote: true,
            hosts: vec!["countersign:2773".into()],
            token_file: "/run/app/endpoint-token".into(),
        })
    );
}

#[test]
fn what_is_absent_has_its_default() {
    let config = config("items.db = { secret = 'app/db' }\nendpoint = {}");
    assert_eq!(config.broker.timeout, Duration::from_secs(120));
    assert_eq!(config.refresh, RefreshSettings::DEFAULT);
    assert_eq!(config.on_change, None);
    assert_eq!(config.child.stop_signal, Signal::Term);
    assert_eq!(config.child.grace, Duration::from_secs(10));
    assert_eq!((config.child.at_use_by, config.child.inherit), (AtUseBy::Keep, Inherit::All));
    let endpoint = config.endpoint.unwrap();
    assert_eq!(endpoint.listen, "127.0.0.1:2773".parse().unwrap());
    assert_eq!((endpoint.allow_remote, endpoint.token_file), (false, "token".into()));
    assert_eq!(config.items[0].keep, Duration::from_secs(24 * 60 * 60));
    assert!(!config.items[0].reaches_a_child());
    assert_eq!(Config::new(None, Given::default()).unwrap().endpoint, None);
}

#[test]
fn what_is_given_goes_before_the_file_and_its_items_come_to_the_files() {
    let text = "group = 'file'\nfrom = '/file'\nmaterial = '/file'\nurl = 'https://file.example'\ntimeout = '1m'\n\
                [items.db]\nsecret = 'app/db'\n[refresh]\ninterval = '1m'\n[on_change]\nrestart = true\n[child]\ninherit = ['LANG']\n\
                [endpoint]\nlisten = '127.0.0.1:1'\ntoken_file = 'endpoint-token'\n";
    let given = Given {
        group: Some("given".parse().unwrap()),
        from: Some("/given".parse().unwrap()),
        material: Some("/given".into()),
        url: Some("https://given.example".into()),
        timeout: Some(Duration::from_secs(5)),
        items: vec![GivenItem::variable("DB=secret:app/other#password").unwrap()],
        on_change: Some("signal:HUP".parse().unwrap()),
        interval: Some(Duration::from_secs(20)),
        listen: Some("127.0.0.1:2".parse().unwrap()),
        inherit: Some("PATH, HOME,".parse().unwrap()),
    };
    let merged = Config::new(file(text), given).unwrap();
    assert_eq!(
        merged.broker,
        BrokerSettings {
            group: Some("given".parse().unwrap()),
            from: Some("/given".parse().unwrap()),
            material: Some(PathBuf::from("/given")),
            url: Some("https://given.example".into()),
            timeout: Duration::from_secs(5),
        }
    );
    let names: Vec<_> = merged.items.iter().map(|item| item.name.as_str()).collect();
    assert_eq!(names, ["db", "db-2"]);
    assert_eq!(merged.on_change, Some(OnChange::Signal(Signal::Hup)));
    assert_eq!(merged.refresh.interval, Duration::from_secs(20));
    assert_eq!(merged.child.inherit, Inherit::These(vec!["PATH".into(), "HOME".into()]));
    let endpoint = merged.endpoint.unwrap();
    assert_eq!((endpoint.listen.port(), endpoint.token_file), (2, "endpoint-token".into()));

    let of_file = config(text);
    assert_eq!(of_file.broker.group, Some("file".parse().unwrap()));
    assert_eq!(of_file.broker.timeout, Duration::from_secs(60));
    assert_eq!(of_file.on_change, Some(OnChange::Restart));
    assert_eq!(of_file.child.inherit, Inherit::These(vec!["LANG".into()]));
    assert_eq!((of_file.refresh.interval, of_file.endpoint.unwrap().listen.port()), (Duration::from_secs(60), 1));
}

#[test]
fn nothing_is_inherited_where_the_list_is_empty() {
    let given = Given { inherit: Some("".parse().unwrap()), ..Given::default() };
    assert_eq!(Config::new(None, given).unwrap().child.inherit, Inherit::These(Vec::new()));
    let ours = Given { inherit: Some("COUNTERSIGN_URL".parse().unwrap()), ..Given::default() };
    assert!(matches!(Config::new(None, ours), Err(ConfigError::Inherit)));
}

#[test]
fn the_text_of_a_variable_is_a_configuration_that_nothing_stands_beside() {
    let read = |text: &str| Config::new(Some(ConfigFile::parse_variable(text)?), Given::default());
    let template = |path: &str| format!("items.a = {{ secret = 'a', file = {{ path = 'a', template = '{path}' }} }}");
    assert_eq!(read("group = 'web'").unwrap().broker.group, Some("web".parse().unwrap()));
    let file = read(&template("/etc/a.j2")).unwrap().items[0].file.clone().unwrap();
    assert_eq!(file.template, Some("/etc/a.j2".into()));
    let relative = read(&template("a.j2"));
    assert!(matches!(relative, Err(ConfigError::Item { problem: InvalidItem::TemplatePath, .. })), "{relative:?}");
    let wrong = read("\ngroups = 'web'").unwrap_err().to_string();
    assert!(wrong.starts_with("COUNTERSIGN_TOML, line 2, column 1: unknown field"), "{wrong}");
    assert!(matches!(read(&" ".repeat(64 * 1024 + 1)), Err(ConfigError::TooLong)));
}

/// Who asks for a shorter interval alone need not know of the pause.
#[test]
fn the_pause_follows_a_shorter_interval() {
    let given = Given { interval: Some(Duration::from_secs(5)), ..Given::default() };
    let refresh = Config::new(None, given.clone()).unwrap().refresh;
    assert_eq!((refresh.interval, refresh.min_interval), (Duration::from_secs(5), Duration::from_secs(5)));
    let set = Config::new(file("refresh.min_interval = '10s'"), given);
    assert!(matches!(set, Err(ConfigError::MinInterval)), "{set:?}");
}

#[test]
fn what_is_given_is_held_against_the_rules_too() {
    let given = |items: Vec<GivenItem>| Given { items, ..Given::default() };
    let variable = |text: &str| GivenItem::variable(text).unwrap();
    let twice = Config::new(file("items.a = { secret = 'a', env = 'X' }"), given(vec![variable("X=secret:b")]));
    assert!(matches!(twice, Err(ConfigError::VariableTwice { .. })), "{twice:?}");
    for (item, expected) in [
        (variable("COUNTERSIGN_X=secret:a"), InvalidItem::OwnVariable),
        (GivenItem::file("../x=secret:a").unwrap(), InvalidItem::FilePath),
        (GivenItem::file("=secret:a").unwrap(), InvalidItem::FilePath),
    ] {
        let refused = Config::new(None, given(vec![item]));
        assert!(matches!(refused, Err(ConfigError::Item { problem, .. }) if problem == expected), "{refused:?}");
    }
    let listens = Given { listen: Some("0.0.0.0:1".parse().unwrap()), ..Given::default() };
    assert!(matches!(Config::new(None, listens), Err(ConfigError::Remote)));
}

#[test]
fn items_share_wants_and_sixteen_fit_an_exchange() {
    let members = config("items.a = { secret = 'a', member = 'x' }\nitems.b = { secret = 'a', member = 'y' }");
    assert_eq!(members.wants(), [Want::Secret { id: "a".into(), version_id: None, version_stage: None }]);
    let many = |count: usize| -> String {
        (0..count)
            .map(|number| format!("items.i{number} = {{ secret = 'a', version_stage = 's{number}' }}\n"))
            .collect()
    };
    assert_eq!(config(&many(16)).wants().len(), 16);
    let too_many = Config::new(file(&many(17)), Given::default());
    assert!(matches!(too_many, Err(ConfigError::TooMuchAsked)), "{too_many:?}");
}

#[test]
fn nothing_asked_for_is_told_to_who_wants_to_know() {
    assert!(matches!(config("group = 'web'").asks_for_something(), Err(ConfigError::NothingAsked)));
}

#[test]
fn templates_stand_beside_the_file() {
    let template = |path: &str| {
        let config = config(&format!("items.a = {{ secret = 'a', file = {{ path = 'x', template = '{path}' }} }}"));
        config.items[0].file.clone().unwrap().template.unwrap()
    };
    assert_eq!(template("db.j2"), PathBuf::from("/etc/app/db.j2"));
    assert_eq!(template("/usr/share/db.j2"), PathBuf::from("/usr/share/db.j2"));
}

#[test]
fn actions_are_read_and_written_alike() {
    for text in ["signal:HUP", "restart", "run:nginx -s reload"] {
        assert_eq!(text.parse::<OnChange>().unwrap().to_string(), text);
    }
    assert_eq!("run: a  b ".parse(), Ok(OnChange::Run(vec!["a".into(), "b".into()])));
    for bad in ["", "HUP", "signal:", "signal:KILL", "restart:", "run:", "run: ", "reload"] {
        assert_eq!(bad.parse::<OnChange>(), Err(InvalidOnChange), "{bad}");
    }
}

#[test]
fn a_file_that_others_can_write_is_not_read() {
    let folder = closed::folder();
    let path = folder.path().join("countersign.toml");
    closed::write(&path, "group = 'web'");
    let read = |mode: u32| {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        ConfigFile::find(Some(&path))
    };
    assert!(read(0o644).unwrap().is_some());
    for mode in [0o664, 0o646] {
        let Err(ConfigError::Unreadable(error)) = read(mode) else { panic!("{mode:o}") };
        assert!(matches!(*error, Error::OpenToOthers { .. }), "{error:?}");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    closed::write(&path, " ".repeat(64 * 1024 + 1));
    let too_large = ConfigFile::find(Some(&path));
    assert!(matches!(too_large, Err(ConfigError::Unreadable(error)) if matches!(*error, Error::Damaged { .. })));
}

#[test]
fn a_file_that_is_named_must_be_there() {
    let missing = ConfigFile::find(Some(Path::new("/nonexistent/countersign.toml"))).unwrap_err();
    assert!(matches!(&missing, ConfigError::Unreadable(error) if matches!(**error, Error::File { .. })), "{missing:?}");
    assert_eq!(missing.exit_code(), 2);
    assert!(missing.hint().contains("--config"));
}

#[test]
fn what_is_no_text_is_no_configuration() {
    let folder = closed::folder();
    let path = folder.path().join("countersign.toml");
    closed::write(&path, b"group = 'w\xff'");
    let refused = ConfigFile::read(&path);
    assert!(matches!(refused, Err(ConfigError::Syntax { .. })), "{refused:?}");
}
