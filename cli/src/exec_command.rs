use std::{env, ffi::OsString, sync::Arc};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use countersign::{
    Error,
    config::{AtUseBy, Config, ItemName},
    deliver::{Delivery, RuntimeFolder},
    endpoint::Endpoint,
    refresh::{Holdings, Refresher},
    supervise::{CommandLine, Environment, Files, Given, Signals, Supervisor},
};
use ports::SystemClock;
use protocol::SystemRandom;

use crate::{
    commands::{client, usage},
    log,
    needs_args::Needs,
    progress::waiting_for,
};

/// Obtain what a command needs, and run it.
///
/// Everything comes in one exchange, or the command does not begin. Where nothing of it is to be
/// kept fresh, the command then takes the place of this process. Else this process stays: it passes
/// signals on, rewrites files, and on a change signals the command, restarts it, or runs another
/// one, as the configuration says. The command's variables are those of this process, without
/// COUNTERSIGN_* and NPM_TOKEN, and its items.
///
/// The exit code is the command's own: 128 and the signal's number where a signal ended it, 127
/// where there is no such command, 126 where it cannot be executed. Before it began they are those
/// of every command; 7 also where it was ended since what it was given was past its use-by.
///
/// COUNTERSIGN_LOG is how much it logs, on standard error: error, warn, info (the default) or debug.
///
/// Examples:
///   countersign exec -- /app/server --port 8080
///   countersign exec --env DB_PASSWORD=secret:app/db#password --on-change restart -- /app/server
///   countersign exec --file tls.key=secret:app/tls --on-change signal:HUP -- nginx -g 'daemon off;'
///   countersign exec --env AWS=role:nightly --once -- aws s3 ls
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Exec {
    /// Obtain everything once: the command takes the place of this process whatever the configuration says of changes, files
    /// stay, and there is no endpoint.
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    needs: Needs,
    /// The command and its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Runs the command, and gives its exit code. It does not come back where the command takes this process's place.
pub(crate) async fn run(Exec { once, needs, command }: Exec) -> Result<u8, Error> {
    log::start();
    // PID 1 is not ended by a signal that it does nothing about.
    let mut signals = Signals::listen()?;
    let config = needs.config()?;
    config.asks_for_something()?;
    let Some(line) = CommandLine::new(command) else { usage("a command is required") };
    let stays = !once && stays(&config);
    let environment = Environment::new(&config.child.inherit, env::vars_os());
    let holdings = Holdings::new(config.items.clone(), Arc::new(SystemClock));
    let needs_folder = stays && config.endpoint.is_some() || has_files(&config);
    let runtime = if needs_folder { Some(RuntimeFolder::new(config.runtime.as_deref())?) } else { None };
    let mut delivery = match &runtime {
        Some(runtime) => Delivery::new(holdings.clone(), runtime)?,
        None => Delivery::without_files(holdings.clone()),
    };
    // Whatever becomes of this start, an earlier run's do not outlive it.
    delivery.clear()?;
    let broker = client(config.broker.clone());
    let mut refresher = Refresher::new(holdings.clone(), config.refresh, broker, Arc::new(SystemRandom));
    tokio::select! {
        biased;
        code = signals.end() => return Ok(code),
        started = waiting_for("the broker", Box::pin(refresher.start(config.broker.timeout))) => started?,
    }
    if stays {
        let counts = refresher.counts();
        let (events, nudge) = refresher.spawn();
        let endpoint = match (&config.endpoint, &runtime) {
            (Some(settings), Some(runtime)) => {
                Some(Endpoint::bind(settings, holdings.clone(), nudge, counts, runtime)?)
            }
            _ => None,
        };
        let environment = match &endpoint {
            Some(endpoint) => environment.with_endpoint(endpoint.token_file(), endpoint.credentials_url().as_deref()),
            None => environment,
        };
        let unwritten = endpoint.as_ref().map(Endpoint::unwritten).unwrap_or_default();
        let files = Files::new(delivery, unwritten);
        // Its token's file goes with it.
        let _serving = endpoint.map(Endpoint::serve);
        let Config { child: settings, on_change, .. } = config;
        Supervisor { line, environment, settings, on_change, holdings, files, events, signals }.run().await
    } else {
        let result = replace(&line, &environment, &mut delivery, &holdings, &mut signals).await;
        delivery.withdraw_all();
        result
    }
}

/// Tells who wrote the command without `--` where it belongs.
pub(crate) fn add_tip(error: &mut clap::Error) {
    let is_exec = env::args_os().nth(1).is_some_and(|word| word == "exec");
    if !is_exec || error.kind() != ErrorKind::UnknownArgument {
        return;
    }
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidArg) else { return };
    // Of what looks like a flag there is a tip already.
    if !word.starts_with('-') {
        let tip = format!("the command stands behind '--': '-- {word}'");
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
}

/// Whether there is something to do once the command runs. Variables cannot change below a command that runs.
fn stays(config: &Config) -> bool {
    let is_stopped = config.child.at_use_by == AtUseBy::Stop;
    config.on_change.is_some() || config.endpoint.is_some() || is_stopped || has_files(config)
}

fn has_files(config: &Config) -> bool {
    config.items.iter().any(|item| item.file.is_some())
}

/// Puts the command in this process's place. It comes back where that fails, or with the exit code for a signal that came before.
async fn replace(
    line: &CommandLine,
    environment: &Environment,
    delivery: &mut Delivery,
    holdings: &Holdings,
    signals: &mut Signals,
) -> Result<u8, Error> {
    let names: Vec<ItemName> = holdings.items().iter().map(|item| item.name.clone()).collect();
    delivery.write(&names)?;
    let given = Given::new(environment, delivery)?;
    match signals.ended().await {
        Some(code) => Ok(code),
        None => Err(line.replace(given).into()),
    }
}
