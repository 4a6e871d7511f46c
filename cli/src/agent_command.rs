use std::{env, ops::ControlFlow, sync::Arc, time::Duration};

use countersign::{
    Error,
    config::{Config, Item, ItemName, OnChange},
    deliver::{Delivery, RuntimeFolder},
    endpoint::Endpoint,
    refresh::{Event, Holdings, Nudge, Refresher},
    supervise::{CommandLine, Environment, Files, Hook, ProcessGroup, Reaper, Signals},
};
use ports::SystemClock;
use protocol::SystemRandom;
use rustix::process::Signal;
use tokio::sync::mpsc;

use crate::{
    agent_args::RunAgent,
    commands::{client, usage},
    log,
    progress::waiting_for,
};

/// How long what an earlier run left is better than nothing, for who reads it while this one starts.
const KEEP_EARLIER: Duration = Duration::from_secs(10);

/// Runs the agent, and gives its exit code: 0 where it was asked to end.
pub(crate) async fn run(RunAgent { once, needs }: RunAgent) -> Result<u8, Error> {
    log::start();
    // PID 1 is not ended by a signal that it does nothing about.
    let signals = Signals::listen()?;
    let config = needs.config()?;
    config.asks_for_something()?;
    refuse_what_needs_a_child(&config, once);
    if once { self::once(config, signals).await } else { Agent::start(config, signals)?.run().await }
}

/// Ends the process as wrong usage where the configuration is of no use to an agent, or of less than it looks.
fn refuse_what_needs_a_child(config: &Config, once: bool) {
    let any = |is_so: fn(&Item) -> bool| config.items.iter().any(is_so);
    let runs = matches!(config.on_change, Some(OnChange::Run(_)));
    if any(|item| item.stdin) {
        usage("an agent has no child that could read from its standard input");
    }
    if !once && !runs && config.on_change.is_some() {
        usage("an agent has no child: on a change it can but run a command");
    }
    if !runs && any(|item| item.variable.is_some()) {
        usage("no command is run that could have variables: an agent writes files, and serves an endpoint");
    }
    let writes = any(|item| item.file.is_some());
    if once && !writes {
        usage("there is nothing to write: with --once an agent writes files, and does nothing else");
    }
    if !writes && config.endpoint.is_none() {
        usage("an agent without files and without an endpoint is of use to nobody: --file or --listen is required");
    }
}

/// Obtains everything, writes the files, and leaves them; or neither.
async fn once(config: Config, mut signals: Signals) -> Result<u8, Error> {
    let runtime = RuntimeFolder::new(config.runtime.as_deref())?;
    let holdings = Holdings::new(config.items, Arc::new(SystemClock));
    let mut delivery = Delivery::new(holdings.clone(), &runtime)?;
    delivery.clear()?;
    let timeout = config.broker.timeout;
    let mut refresher = Refresher::new(holdings.clone(), config.refresh, client(config.broker), Arc::new(SystemRandom));
    tokio::select! {
        biased;
        code = signals.end() => return Ok(code),
        started = waiting_for("the broker", Box::pin(refresher.start(timeout))) => started?,
    }
    let names: Vec<ItemName> = holdings.items().iter().map(|item| item.name.clone()).collect();
    let written = delivery.write(&names);
    if written.is_err() {
        delivery.withdraw_all();
    }
    written.map(|_| 0)
}

/// An agent that runs.
struct Agent {
    holdings: Holdings,
    files: Files,
    events: mpsc::Receiver<Event>,
    nudge: Nudge,
    signals: Signals,
    endpoint: Option<Endpoint>,
    /// What is run on a change, and its variables besides items.
    hook: Option<Hook>,
    environment: Environment,
}

impl Agent {
    fn start(config: Config, signals: Signals) -> Result<Self, Error> {
        let group = if signals.is_on_terminal() { ProcessGroup::Shared } else { ProcessGroup::Own };
        let hook = match config.on_change {
            Some(OnChange::Run(words)) => CommandLine::new(words).map(|line| Hook::new(line, group)),
            Some(OnChange::Signal(_) | OnChange::Restart) | None => None,
        };
        let runtime = RuntimeFolder::new(config.runtime.as_deref())?;
        let holdings = Holdings::new(config.items, Arc::new(SystemClock));
        let delivery = Delivery::new(holdings.clone(), &runtime)?;
        let refresher = Refresher::new(holdings.clone(), config.refresh, client(config.broker), Arc::new(SystemRandom));
        let counts = refresher.counts();
        let (events, nudge) = refresher.spawn();
        let endpoint = match &config.endpoint {
            Some(settings) => Some(Endpoint::bind(settings, holdings.clone(), nudge.clone(), counts, &runtime)?),
            None => None,
        };
        let environment = Environment::new(&config.child.inherit, env::vars_os());
        let environment = match &endpoint {
            Some(endpoint) => environment.with_endpoint(endpoint.token_file(), endpoint.credentials_url().as_deref()),
            None => environment,
        };
        let unwritten = endpoint.as_ref().map(Endpoint::unwritten).unwrap_or_default();
        let mut files = Files::new(delivery, unwritten);
        files.keep_earlier(KEEP_EARLIER);
        Ok(Self { holdings, files, events, nudge, signals, endpoint, hook, environment })
    }

    async fn run(mut self) -> Result<u8, Error> {
        let mut reaper = Reaper::new()?;
        // Its token's file goes with it.
        let _serving = self.endpoint.take().map(|endpoint| {
            let token_file = endpoint.token_file().display();
            tracing::info!(address = %endpoint.address(), %token_file, "the endpoint listens");
            endpoint.serve()
        });
        loop {
            tokio::select! {
                signal = self.signals.next() => if self.signal(signal).is_break() { break },
                Some(event) = self.events.recv() => match event {
                    Event::Changed(names) => self.changed(&names),
                    Event::Ended(names) => self.files.withdraw(&names),
                },
                (pid, end) = reaper.next() => {
                    let Self { hook, environment, files, .. } = &mut self;
                    if let Some(hook) = hook {
                        hook.ended(pid, end, || Ok(environment.with_items(files.delivery().environment()?)));
                    }
                }
                () = self.files.due() => if self.files.tend() { self.run_hook() },
            }
        }
        if let Some(hook) = &mut self.hook {
            hook.stop();
        }
        self.files.withdraw_all();
        Ok(0)
    }

    fn signal(&self, signal: Signal) -> ControlFlow<()> {
        match signal {
            Signal::INT | Signal::QUIT | Signal::TERM => {
                tracing::info!("the agent ends");
                ControlFlow::Break(())
            }
            Signal::HUP => {
                tracing::info!("everything is asked for again");
                self.nudge.now(None);
                ControlFlow::Continue(())
            }
            _ => ControlFlow::Continue(()),
        }
    }

    /// Items changed, or came back.
    fn changed(&mut self, names: &[ItemName]) {
        let is_rewritten = self.files.write_changed(names, self.holdings.items());
        let mut items = self.holdings.items().iter().filter(|item| item.on_change && names.contains(&item.name));
        // What has no file is known to the command by its variable, or by the endpoint.
        if is_rewritten || items.any(|item| item.file.is_none()) {
            self.run_hook();
        }
    }

    fn run_hook(&mut self) {
        let Self { hook, environment, files, .. } = self;
        if let Some(hook) = hook {
            hook.changed(|| Ok(environment.with_items(files.delivery().environment()?)));
        }
    }
}
