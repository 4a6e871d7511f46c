use std::path::Path;

use clap::Subcommand;
use countersign::{
    Error,
    config::{Config, Item, SCHEMA},
    deliver::RuntimeFolder,
};

use crate::{commands::print, needs_args::Needs};

/// What a container needs: countersign.toml, the same by variables and flags, and its schema.
///
/// Examples:
///   countersign config check --config countersign.toml
///   countersign config schema > countersign.schema.json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct ConfigCommands {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    Check(Box<ConfigCheck>),
    Schema(ConfigSchema),
}

/// Read a configuration, and tell what is asked for and where it goes. Nothing is asked of the
/// broker. A line that begins with `warning:` is about what can hardly be meant.
///
/// Exit code 2 where it is wrong, with the line or the item on standard error. Not checked: whether
/// users, folders and templates exist, and what policy allows; see `countersign doctor`.
///
/// Examples:
///   countersign config check
///   countersign config check --config countersign.toml
///   countersign config check --env DB_PASSWORD=secret:app/db#password --on-change restart
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
struct ConfigCheck {
    #[command(flatten)]
    needs: Needs,
}

/// Print the JSON Schema of countersign.toml, for editors and pipelines.
///
/// Examples:
///   countersign config schema > countersign.schema.json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
struct ConfigSchema {}

pub(crate) fn run(commands: ConfigCommands) -> Result<(), Error> {
    match commands.command {
        ConfigCommand::Check(check) => {
            let config = check.needs.config()?;
            let runtime = RuntimeFolder::place(config.runtime.as_deref());
            print(told(&config, &runtime).as_bytes())
        }
        ConfigCommand::Schema(ConfigSchema {}) => print(SCHEMA.as_bytes()),
    }
}

/// What is asked for, an item a line, and what happens then.
fn told(config: &Config, runtime: &Path) -> String {
    let mut lines: Vec<String> = config.items.iter().map(|item| line(item, runtime)).collect();
    if lines.is_empty() {
        lines.push("nothing is asked for".to_owned());
    }
    if let Some(on_change) = &config.on_change {
        lines.push(format!("on change: {on_change}"));
    }
    if let Some(endpoint) = &config.endpoint {
        let token_file = runtime.join(&endpoint.token_file);
        lines.push(format!("endpoint: {}, token in {}", endpoint.listen, token_file.display()));
    }
    lines.extend(config.warnings().iter().map(|warning| format!("warning: {warning}")));
    // A member's name or a path may hold what a terminal obeys.
    lines.iter().map(|line| line.replace(char::is_control, "?") + "\n").collect()
}

fn line(item: &Item, runtime: &Path) -> String {
    let variables = item.variables().into_iter().map(|name| format!("variable {name}"));
    let file = item.file.iter().map(|file| {
        let owner = file.owner.as_ref().map(|owner| format!(", {owner}")).unwrap_or_default();
        let template = file.template.as_ref().map(|path| format!(", by {}", path.display())).unwrap_or_default();
        format!("file {} ({}{owner}{template})", runtime.join(&file.path).display(), file.mode)
    });
    let stdin = item.stdin.then(|| "standard input".to_owned());
    let sinks: Vec<String> = variables.chain(file).chain(stdin).collect();
    let sinks = if sinks.is_empty() { "templates and the endpoint alone".to_owned() } else { sinks.join(", ") };
    format!("{}: {} -> {sinks}", item.name, item.source)
}

#[cfg(test)]
mod tests {
    use countersign::config::{ConfigFile, Given};

    use super::*;

    fn told_of(text: &str) -> String {
        let file = ConfigFile::parse(text, Path::new("/etc/countersign.toml")).unwrap();
        told(&Config::new(Some(file), Given::default()).unwrap(), Path::new("/run/app"))
    }

    #[test]
    fn each_item_is_told_with_where_it_goes() {
        let told = told_of(
            "items.a = { role = 'nightly', seconds = 900, env = 'AWS' }\n\
             items.b = { secret = 'app/db', version_stage = 'AWSPREVIOUS' }\n\
             items.c = { access_token = true, stdin = true, file = { path = 'c', owner = ':app', template = 'c.j2' } }\n\
             on_change.run = ['nginx', '-s', 'reload']\nendpoint = {}",
        );
        assert_eq!(
            told,
            "a: role:nightly for 900 s -> variable AWS_ACCESS_KEY_ID, variable AWS_SECRET_ACCESS_KEY, \
             variable AWS_SESSION_TOKEN\n\
             b: secret:app/db at AWSPREVIOUS -> templates and the endpoint alone\n\
             c: access-token -> file /run/app/c (0400, :app, by /etc/c.j2), standard input\n\
             on change: run:nginx -s reload\n\
             endpoint: 127.0.0.1:2773, token in /run/app/token\n"
        );
    }

    #[test]
    fn what_can_hardly_be_meant_is_warned_of() {
        let told = told_of("items.a = { secret = 'a', env = 'A' }\non_change.signal = 'HUP'");
        let last = told.lines().last().unwrap();
        assert!(last.starts_with("warning: a command that runs keeps the a"), "{told}");
    }

    #[test]
    fn what_a_terminal_obeys_is_not_told() {
        let told = told_of("items.a = { secret = 'a', member = \"\\u001b[2J\" }");
        assert_eq!(told, "a: secret:a#?[2J -> templates and the endpoint alone\n");
    }
}
