//! What is no configuration, a rule each.

use std::path::Path;

use super::{Config, ConfigError, ConfigFile, Given, InvalidItem};

fn config(text: &str) -> Result<Config, ConfigError> {
    Config::new(Some(ConfigFile::parse(text, Path::new("/etc/countersign.toml"))?), Given::default())
}

macro_rules! refused {
    ($($name:ident: $text:expr => $error:pat,)*) => {
        $(
            #[test]
            fn $name() {
                let error = config($text).unwrap_err();
                assert!(matches!(error, $error), "{error:?}");
                assert_eq!(error.exit_code(), 2);
                assert!(!error.hint().is_empty());
            }
        )*
    };
}

/// The same for an item of this table, whose secret is there where it says no source itself.
macro_rules! item_refused {
    ($($name:ident: $text:expr => $problem:pat,)*) => {
        $(
            #[test]
            fn $name() {
                let error = config(&format!("[items.db]\n{}", $text)).unwrap_err();
                let ConfigError::Item { item, problem } = &error else { panic!("{error:?}") };
                assert_eq!(item.as_str(), "db");
                assert!(matches!(problem, $problem), "{problem:?}");
                assert!(!error.hint().is_empty());
            }
        )*
    };
}

item_refused! {
    no_source: "env = 'DB'" => InvalidItem::NotOneSource,
    two_sources: "secret = 'a'\nrole = 'b'" => InvalidItem::NotOneSource,
    no_access_token: "access_token = false" => InvalidItem::NotOneSource,
    a_secret_without_an_access_token: "secret = 'a'\naccess_token = false" => InvalidItem::NotOneSource,
    an_arn: "secret = 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:a'" => InvalidItem::SecretArn,
    an_arn_of_a_role: "role = 'arn:aws:iam::123456789012:role/a'" => InvalidItem::RoleArn,
    an_empty_secret: "secret = ''" => InvalidItem::Secret,
    a_version_that_is_no_id: "secret = 'a'\nversion_id = '1'" => InvalidItem::Secret,
    a_stage_with_a_blank: "secret = 'a'\nversion_stage = 'AWS PREVIOUS'" => InvalidItem::Secret,
    a_version_and_a_stage: "secret = 'a'\nversion_id = '0f5d3a3e-2f0b-4d5e-9a80-6a1b0e8f7c11'\nversion_stage = 'AWSCURRENT'"
        => InvalidItem::TwoVersions,
    an_alias_that_is_none: "role = 'a/b'" => InvalidItem::Role,
    a_lifetime_of_nothing: "role = 'a'\nseconds = 0" => InvalidItem::Seconds,
    a_member_without_a_name: "secret = 'a'\nmember = ''" => InvalidItem::Member,
    a_pointer_that_is_none: "secret = 'a'\nmember = '/a~b'" => InvalidItem::Member,
    a_member_of_a_role: "role = 'a'\nmember = 'b'" => InvalidItem::Strange("member"),
    a_version_of_a_role: "role = 'a'\nversion_id = '0f5d3a3e-2f0b-4d5e-9a80-6a1b0e8f7c11'" => InvalidItem::Strange("version_id"),
    a_stage_of_a_token: "access_token = true\nversion_stage = 'AWSCURRENT'" => InvalidItem::Strange("version_stage"),
    a_use_by_of_a_token: "access_token = true\nkeep = '1h'" => InvalidItem::Strange("keep"),
    a_lifetime_of_a_secret: "secret = 'a'\nseconds = 900" => InvalidItem::Strange("seconds"),
    a_lifetime_of_a_token: "access_token = true\nseconds = 900" => InvalidItem::Strange("seconds"),
    a_use_by_at_once: "secret = 'a'\nkeep = '0s'" => InvalidItem::Keep,
    a_use_by_below_a_second: "secret = 'a'\nkeep = '999ms'" => InvalidItem::Keep,
    a_file_without_a_name: "secret = 'a'\nfile = { path = '' }" => InvalidItem::FilePath,
    a_file_that_is_a_folder: "secret = 'a'\nfile = { path = '/run/app/' }" => InvalidItem::FilePath,
    a_file_that_is_this_folder: "secret = 'a'\nfile = { path = 'app/.' }" => InvalidItem::FilePath,
    a_file_outside_the_runtime_folder: "secret = 'a'\nfile = { path = '../db' }" => InvalidItem::FilePath,
    a_file_by_a_detour: "secret = 'a'\nfile = { path = '/run/app/../db' }" => InvalidItem::FilePath,
    a_file_that_a_terminal_obeys: "secret = 'a'\nfile = { path = \"db\\u001b\" }" => InvalidItem::FilePath,
    a_template_without_a_name: "secret = 'a'\nfile = { path = 'db', template = '' }" => InvalidItem::TemplatePath,
    a_template_that_is_a_folder: "secret = 'a'\nfile = { path = 'db', template = '/etc/' }" => InvalidItem::TemplatePath,
    a_variable_of_our_own: "secret = 'a'\nenv = 'COUNTERSIGN_GROUP'" => InvalidItem::OwnVariable,
    a_prefix_of_our_own: "role = 'a'\nenv = 'COUNTERSIGN'" => InvalidItem::OwnVariable,
}

refused! {
    two_readers_of_standard_input: "items.a = { secret = 'a', stdin = true }\nitems.b = { secret = 'b', stdin = true }"
        => ConfigError::StdinTwice { .. },
    one_variable_of_two_items: "items.a = { secret = 'a', env = 'X' }\nitems.b = { secret = 'b', env = 'X' }"
        => ConfigError::VariableTwice { .. },
    a_variable_that_a_prefix_makes: "items.a = { role = 'a', env = 'AWS' }\nitems.b = { secret = 'b', env = 'AWS_SESSION_TOKEN' }"
        => ConfigError::VariableTwice { .. },
    one_prefix_of_two_roles: "items.a = { role = 'a', env = 'AWS' }\nitems.b = { role = 'b', env = 'AWS' }"
        => ConfigError::VariableTwice { .. },
    a_variable_that_the_endpoint_sets: "endpoint = {}\nitems.a = { secret = 'a', env = 'AWS_CONTAINER_CREDENTIALS_FULL_URI' }"
        => ConfigError::EndpointVariable { .. },
    one_file_of_two_items: "items.a = { secret = 'a', file = { path = 'x' } }\nitems.b = { secret = 'b', file = { path = './x' } }"
        => ConfigError::FileTwice { .. },
    one_file_by_two_paths:
        "runtime = '/run/app'\nitems.a = { secret = 'a', file = { path = 'x' } }\nitems.b = { secret = 'b', file = { path = '/run/app/x' } }"
        => ConfigError::FileTwice { .. },
    a_file_in_a_file: "items.a = { secret = 'a', file = { path = 'x/y' } }\nitems.b = { secret = 'b', file = { path = 'x' } }"
        => ConfigError::FileTwice { .. },
    a_file_that_is_the_endpoints_token: "endpoint = {}\nitems.a = { secret = 'a', file = { path = 'token' } }"
        => ConfigError::FileTwice { .. },
    a_file_that_is_its_template: "items.a = { secret = 'a', file = { path = '/etc/x', template = 'x' } }"
        => ConfigError::FileTwice { .. },
    an_interval_of_nothing: "refresh.interval = '0s'" => ConfigError::Zero("refresh.interval"),
    a_pause_of_nothing: "refresh.min_interval = '0s'" => ConfigError::Zero("refresh.min_interval"),
    a_backoff_of_nothing: "refresh.max_backoff = '0s'" => ConfigError::Zero("refresh.max_backoff"),
    a_start_in_no_time: "timeout = '0s'" => ConfigError::Zero("timeout"),
    a_pause_longer_than_the_interval: "refresh = { interval = '1m', min_interval = '61s' }" => ConfigError::MinInterval,
    nothing_on_a_change: "on_change = {}" => ConfigError::OnChange,
    two_things_on_a_change: "on_change = { signal = 'HUP', restart = true }" => ConfigError::OnChange,
    no_restart_on_a_change: "on_change = { restart = false }" => ConfigError::OnChange,
    no_command_on_a_change: "on_change = { run = [] }" => ConfigError::NoCommand,
    an_empty_command_on_a_change: "on_change = { run = ['', 'x'] }" => ConfigError::NoCommand,
    a_command_that_cannot_be_run: "on_change = { run = ['x', \"a\\u0000\"] }" => ConfigError::NoCommand,
    an_inherited_variable_without_a_name: "child.inherit = ['']" => ConfigError::Inherit,
    an_inherited_assignment: "child.inherit = ['A=b']" => ConfigError::Inherit,
    an_inherited_variable_of_our_own: "child.inherit = ['COUNTERSIGN_GROUP']" => ConfigError::Inherit,
    an_endpoint_for_everybody: "endpoint.listen = '0.0.0.0:2773'" => ConfigError::Remote,
    an_endpoint_for_the_network: "endpoint.listen = '[2001:db8::1]:2773'" => ConfigError::Remote,
    a_host_that_is_a_url: "endpoint.hosts = ['http://app/']" => ConfigError::Host,
    a_host_without_a_name: "endpoint.hosts = ['']" => ConfigError::Host,
    a_token_file_that_is_a_folder: "endpoint.token_file = '/run/app/'" => ConfigError::TokenFile,
    a_token_file_outside_the_runtime_folder: "endpoint.token_file = '../token'" => ConfigError::TokenFile,
    a_runtime_folder_that_is_relative: "runtime = 'run'" => ConfigError::Runtime,
    a_url_without_a_scheme: "url = 'broker.example.com'" => ConfigError::Url,
    a_url_of_another_scheme: "url = 'ftp://broker.example.com'" => ConfigError::Url,
    a_url_with_a_query: "url = 'https://broker.example.com/?a'" => ConfigError::Url,
}

/// What the parser refuses, and where it says that it is.
#[test]
fn what_the_file_cannot_say_is_told_with_its_place() {
    for (text, position, message) in [
        ("group = ", "line 1, column 9", ""),
        ("group = 'web'\ngroup = 'web'", "line 2, column 1", "duplicate key"),
        ("groups = 'web'", "line 1, column 1", "unknown field `groups`"),
        ("\n[items.db]\nsecrets = 'a'", "line 3, column 1, in `items.db`", "unknown field `secrets`"),
        (
            "[items.db]\nsecret = 'a'\nfile = { path = 'x', user = 'a' }",
            "line 3, column 22, in `items.db.file`",
            "unknown field `user`",
        ),
        (
            "[items.db]\nsecret = 'a'\nfile = { mode = '0400' }",
            "line 3, column 8, in `items.db.file`",
            "missing field `path`",
        ),
        (
            "[items.db]\nsecret = 'a'\nfile = { path = 'x', mode = '0755' }",
            "line 3, column 29, in `items.db.file.mode`",
            "not the mode of a file",
        ),
        (
            "[items.db]\nsecret = 'a'\nfile = { path = 'x', mode = 400 }",
            "line 3, column 29, in `items.db.file.mode`",
            "expected a text in quotes",
        ),
        (
            "[items.db]\nsecret = 'a'\nfile = { path = 'x', owner = ':' }",
            "line 3, column 30, in `items.db.file.owner`",
            "not an owner",
        ),
        ("[items.Db]\nsecret = 'a'", "line 1, column 8, in `items`", "an item's name is"),
        ("[items.db]\nsecret = 'a'\nenv = '1'", "line 3, column 7, in `items.db.env`", "a variable's name is"),
        ("[items.db]\nsecret = 'a'\nkeep = 'long'", "line 3, column 8, in `items.db.keep`", "not a time span"),
        ("items.db = 'app/db'", "line 1, column 12, in `items.db`", "expected a table, as { secret"),
        (
            "items.db = { secret = 'a', file = 'db' }",
            "line 1, column 35, in `items.db.file`",
            "expected a table, as { path",
        ),
        ("refresh.interval = 300", "line 1, column 20, in `refresh.interval`", "expected a text in quotes"),
        ("refresh.jitter = '1s'", "line 1, column 9, in `refresh`", "unknown field `jitter`"),
        ("on_change.reload = true", "line 1, column 11, in `on_change`", "unknown field `reload`"),
        ("on_change.signal = 'KILL'", "line 1, column 20, in `on_change.signal`", "not a signal"),
        ("child.at_use_by = 'kill'", "line 1, column 19, in `child.at_use_by`", "unknown variant `kill`"),
        ("child.user = 'app'", "line 1, column 7, in `child`", "unknown field `user`"),
        (
            "endpoint.listen = 'localhost:2773'",
            "line 1, column 19, in `endpoint.listen`",
            "not an IP address and a port",
        ),
        ("endpoint.tls = true", "line 1, column 10, in `endpoint`", "unknown field `tls`"),
        ("group = 'Web'", "line 1, column 9, in `group`", "not a valid group name"),
        ("from = 'ftp://x'", "line 1, column 8, in `from`", "not an s3 url"),
    ] {
        let error = config(text).unwrap_err();
        let ConfigError::Syntax { position: told, message: said, .. } = &error else { panic!("{text}: {error:?}") };
        assert_eq!(told.trim_start_matches(", "), position, "{text}: {said}");
        assert!(said.contains(message), "{text}: {said}");
    }
}

#[test]
fn a_mode_without_quotes_is_told_to_be_a_text() {
    for mode in ["0400", "400", "0o400"] {
        let hint =
            config(&format!("[items.a]\nsecret = 'a'\nfile = {{ path = 'a', mode = {mode} }}")).unwrap_err().hint();
        assert!(hint.contains("mode = \"0400\""), "{mode}: {hint}");
    }
    let other = config("[items.a]\nsecret = 400").unwrap_err().hint();
    assert!(!other.contains("mode"), "{other}");
}

#[test]
fn what_is_told_is_one_line_without_what_a_terminal_obeys() {
    for text in
        ["\u{1b}[2J", "'a\u{7}' = 1", "\"\\u001b\" = 1", "group = \"\\u001b[2J\"", "[items.\"a\\nb\"]\nsecret = 'a'"]
    {
        let told = config(text).unwrap_err().to_string();
        assert!(!told.contains(char::is_control), "{told:?}");
        assert!(told.starts_with("/etc/countersign.toml, line 1, column"), "{told}");
    }
}
