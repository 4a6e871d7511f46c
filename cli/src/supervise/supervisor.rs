use tokio::sync::mpsc;

use crate::{
    Error,
    config::{ChildSettings, ItemName, OnChange},
    refresh::{Event, Holdings},
    supervise::{CommandLine, Environment, Files, Given, Reaper, Signals, supervision::Supervision},
};

/// Runs a command as a child, gives it what changes, and ends as it ends.
///
/// Everything that ends below this process is waited for. Signals go on to the child and to no other process; on a terminal
/// the child shares the group of this process, and what the terminal sends to the group is not sent twice.
pub struct Supervisor {
    /// The command.
    pub line: CommandLine,
    /// Its variables besides items.
    pub environment: Environment,
    /// How it is run.
    pub settings: ChildSettings,
    /// What is done where something changed that it sees.
    pub on_change: Option<OnChange>,
    /// What is held of the items.
    pub holdings: Holdings,
    /// Where they go.
    pub files: Files,
    /// What happens to them.
    pub events: mpsc::Receiver<Event>,
    /// The signals of this process.
    pub signals: Signals,
}

impl Supervisor {
    /// Runs the command to its end, and gives its exit code: 128 and the signal's number where a signal ended it. Files of
    /// items are there before it begins, and gone afterwards.
    ///
    /// # Errors
    /// [`SuperviseError`](crate::supervise::SuperviseError); what keeps files, variables or standard input from being made at
    /// the start.
    pub async fn run(mut self) -> Result<u8, Error> {
        let result = self.supervise().await;
        self.files.withdraw_all();
        result
    }

    async fn supervise(&mut self) -> Result<u8, Error> {
        // Before the child, whose end must not be missed.
        let reaper = Reaper::new()?;
        let names: Vec<ItemName> = self.holdings.items().iter().map(|item| item.name.clone()).collect();
        self.files.begin(&names)?;
        Supervision::start(self)?.run(reaper).await
    }

    /// The variables of a process that is started now.
    ///
    /// # Errors
    /// As [`Delivery::environment`](crate::deliver::Delivery::environment).
    pub(crate) fn variables(&self) -> Result<Environment, Error> {
        Ok(self.environment.with_items(self.files.delivery().environment()?))
    }

    /// What the command is given that is started now.
    ///
    /// # Errors
    /// As [`Given::new`].
    pub(crate) fn given(&self) -> Result<Given, Error> {
        Given::new(&self.environment, self.files.delivery())
    }
}
