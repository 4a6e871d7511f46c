use std::{collections::BTreeSet, env, ops::ControlFlow, sync::Arc, time::Duration};

use countersign::{
    Error,
    config::{Config, ItemName, OnChange},
    deliver::{Delivery, RuntimeFolder},
    endpoint::{Endpoint, Unwritten},
    refresh::{Event, Holdings, Nudge, Refresher},
    supervise::{CommandLine, Environment, Hook, ProcessGroup, Reaper, Signals, hide_memory},
};
use ports::{SystemClock, chain};
use protocol::SystemRandom;
use rustix::process::Signal;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use crate::{
    agent_args::RunAgent,
    commands::{client, usage},
    log,
    progress::waiting_for,
};

/// How long after a file could not be written it is tried again.
const WRITE_AGAIN_AFTER: Duration = Duration::from_secs(30);

/// Runs the agent, and gives its exit code: 0 where it was asked to end.
pub(crate) async fn run(RunAgent { once, needs }: RunAgent) -> Result<u8, Error> {
    log::start();
    let signals = Signals::listen()?;
    hide_memory()?;
    let config = needs.config()?;
    config.asks_for_something()?;
    if once { self::once(config, signals).await } else { Agent::start(config, signals)?.run().await }
}

/// Obtains everything, writes the files, and leaves them; or neither.
async fn once(config: Config, mut signals: Signals) -> Result<u8, Error> {
    let runtime = RuntimeFolder::new(config.runtime.as_deref())?;
    let holdings = Holdings::new(config.items, Arc::new(SystemClock));
    let mut delivery = Delivery::new(holdings.clone(), &runtime)?;
    let timeout = config.broker.timeout;
    let mut refresher = Refresher::new(holdings.clone(), config.refresh, client(config.broker), Arc::new(SystemRandom));
    tokio::select! {
        code = signals.end() => return Ok(code),
        started = waiting_for("the broker", Box::pin(refresher.start(timeout))) => started?,
    }
    let written = delivery.write(&names(&holdings));
    if written.is_err() {
        delivery.withdraw_all();
    }
    written.map(|_| 0)
}

/// An agent that runs.
struct Agent {
    holdings: Holdings,
    delivery: Delivery,
    events: mpsc::Receiver<Event>,
    nudge: Nudge,
    signals: Signals,
    endpoint: Option<Endpoint>,
    /// What is run on a change, and its variables besides items.
    hook: Option<Hook>,
    environment: Environment,
    unwritten: Unwritten,
    /// What was to be written when a file last failed.
    failed: BTreeSet<ItemName>,
    write_again_at: Option<Instant>,
}

impl Agent {
    fn start(config: Config, signals: Signals) -> Result<Self, Error> {
        let group = if signals.is_on_terminal() { ProcessGroup::Shared } else { ProcessGroup::Own };
        let hook = match config.on_change {
            None => None,
            Some(OnChange::Run(words)) => CommandLine::new(words).map(|line| Hook::new(line, group)),
            Some(OnChange::Signal(_) | OnChange::Restart) => {
                usage("an agent has no child: on a change it can but run a command")
            }
        };
        if config.endpoint.is_none() && config.items.iter().all(|item| item.file.is_none()) {
            usage("an agent without files and without an endpoint is of use to nobody: --file or --listen is required");
        }
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
        unwritten.add(holdings.items().iter().filter(|item| item.file.is_some()).map(|item| &item.name));
        Ok(Self {
            holdings,
            delivery,
            events,
            nudge,
            signals,
            endpoint,
            hook,
            environment,
            unwritten,
            failed: BTreeSet::new(),
            write_again_at: None,
        })
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
            let write_again_at = self.write_again_at;
            tokio::select! {
                signal = self.signals.next() => if self.signal(signal).is_break() { break },
                Some(event) = self.events.recv() => match event {
                    Event::Changed(names) => self.changed(&names),
                    Event::Ended(names) => self.delivery.withdraw(&names),
                },
                (pid, end) = reaper.next() => {
                    let Self { hook, environment, delivery, .. } = &mut self;
                    if let Some(hook) = hook {
                        hook.ended(pid, end, || Ok(environment.with_items(delivery.environment()?)));
                    }
                }
                () = at(write_again_at) => self.changed(&[]),
            }
        }
        if let Some(hook) = &mut self.hook {
            hook.stop();
        }
        self.delivery.withdraw_all();
        Ok(0)
    }

    fn signal(&self, signal: Signal) -> ControlFlow<()> {
        match signal {
            Signal::INT | Signal::QUIT | Signal::TERM => {
                tracing::info!("the agent ends");
                return ControlFlow::Break(());
            }
            Signal::HUP => {
                tracing::info!("everything is asked for again");
                self.nudge.now(None);
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    /// Items changed, or came back; or files are tried again.
    fn changed(&mut self, names: &[ItemName]) {
        let rewritten = self.delivery.rewrite(names);
        for failure in &rewritten.failures {
            tracing::error!(error = chain(failure), "a file was not written");
        }
        // With these all that failed before was tried.
        self.failed.extend(names.iter().cloned());
        if rewritten.failures.is_empty() {
            self.unwritten.remove(&std::mem::take(&mut self.failed));
            self.write_again_at = None;
        } else {
            self.unwritten.add(&self.failed);
            self.write_again_at = Some(Instant::now() + WRITE_AGAIN_AFTER);
        }
        let mut items = self.holdings.items().iter().filter(|item| names.contains(&item.name));
        if rewritten.changed || items.any(|item| item.file.is_none()) {
            let Self { hook, environment, delivery, .. } = self;
            if let Some(hook) = hook {
                hook.changed(|| Ok(environment.with_items(delivery.environment()?)));
            }
        }
    }
}

fn names(holdings: &Holdings) -> Vec<ItemName> {
    holdings.items().iter().map(|item| item.name.clone()).collect()
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
