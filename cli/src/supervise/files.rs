use std::time::Duration;

use ports::chain;
use tokio::time::{Instant, sleep_until};

use crate::{
    Error,
    config::{Item, ItemName},
    deliver::Delivery,
    endpoint::Unwritten,
};

/// How long after a file could not be written or deleted it is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(30);

/// Files that are written as their items change, tried again where that failed, and deleted when what is in them ends.
pub struct Files {
    delivery: Delivery,
    unwritten: Unwritten,
    /// When what failed is tried again, and what is left is deleted.
    again_at: Option<Instant>,
    /// When it is looked whether what is in a file has ended.
    look_at: Option<Instant>,
}

impl Files {
    /// Files of this delivery. What is not delivered is told there.
    #[must_use]
    pub const fn new(delivery: Delivery, unwritten: Unwritten) -> Self {
        Self { delivery, unwritten, again_at: None, look_at: None }
    }

    /// Lets what an earlier run left in the files' places stay for this long, where it is not written before.
    pub fn keep_earlier(&mut self, time: Duration) {
        self.again_at = Some(Instant::now() + time);
        self.plan();
    }

    /// Writes the files that these items are in, before there is anybody to read them.
    ///
    /// # Errors
    /// As [`Delivery::write`].
    pub fn begin(&mut self, names: &[ItemName]) -> Result<(), Error> {
        let written = self.delivery.write(names);
        self.plan();
        written.map(drop)
    }

    /// Writes the files that these items are in, and those that failed before; whether one is another than it was. Why others
    /// were not written is logged.
    pub fn write(&mut self, names: &[ItemName]) -> bool {
        let rewritten = self.delivery.rewrite(names);
        for failure in &rewritten.failures {
            tracing::error!(error = chain(failure), "a file was not written");
        }
        self.plan();
        rewritten.changed
    }

    /// Deletes the files that these items are in.
    pub fn withdraw(&mut self, names: &[ItemName]) {
        self.delivery.withdraw(names);
        self.plan();
    }

    /// Deletes all files.
    pub fn withdraw_all(&mut self) {
        self.delivery.withdraw_all();
        self.plan();
    }

    /// Waits until there is something to do by [`Files::tend`].
    pub async fn due(&self) {
        at(self.again_at.into_iter().chain(self.look_at).min()).await;
    }

    /// Does what there is to do: what ended or is left is deleted, and what failed is tried again. Whether a file was written and is
    /// another than it was.
    pub fn tend(&mut self) -> bool {
        if self.again_at.is_none_or(|at| Instant::now() < at) {
            self.plan();
            return false;
        }
        self.again_at = None;
        self.delivery.delete_left();
        self.write(&[])
    }

    fn plan(&mut self) {
        self.delivery.withdraw_ended();
        for (item, is_delivered) in self.delivery.delivered() {
            if is_delivered { self.unwritten.remove([item]) } else { self.unwritten.add([item]) }
        }
        let now = Instant::now();
        let again = self.delivery.has_to_try_again();
        self.again_at = again.then(|| self.again_at.unwrap_or(now + AGAIN_AFTER));
        self.look_at = self.delivery.next_look().map(|wait| now + wait);
    }

    /// Writes the files that these of the items are in; whether one is another than it was by an item that a child is told of. Not by
    /// one of `on_change = false`.
    pub fn write_changed(&mut self, names: &[ItemName], items: &[Item]) -> bool {
        let tells = |name: &ItemName| items.iter().any(|item| item.name == *name && item.on_change);
        let (told, quiet): (Vec<_>, Vec<_>) = names.iter().cloned().partition(tells);
        let rewritten = (!told.is_empty() || quiet.is_empty()) && self.write(&told);
        if !quiet.is_empty() {
            self.write(&quiet);
        }
        rewritten
    }

    /// What they are delivered by.
    #[must_use]
    pub const fn delivery(&self) -> &Delivery {
        &self.delivery
    }
}

/// Waits until this time, or for ever.
pub(crate) async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::PermissionsExt as _,
        path::{Path, PathBuf},
    };

    use super::*;
    use crate::deliver::fixture::{Machine, item_in_file, name, names};

    const MOMENT: Duration = Duration::from_millis(1);

    /// The files of a machine, and where its runtime folder is.
    fn files(machine: &Machine) -> (Files, Unwritten) {
        let unwritten = Unwritten::default();
        (Files::new(machine.delivery(), unwritten.clone()), unwritten)
    }

    fn machine() -> (Machine, PathBuf) {
        let machine = Machine::new(vec![item_in_file("db", "db"), item_in_file("api", "api")]);
        let folder = machine.runtime.path().to_owned();
        (machine, folder)
    }

    fn set_mode(folder: &Path, mode: u32) {
        fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_an_earlier_run_left_stays_for_its_time_and_what_was_written_by_then_for_longer() {
        let (machine, folder) = machine();
        for name in ["db", "api"] {
            fs::write(folder.join(name), "old").unwrap();
        }
        let (mut files, unwritten) = files(&machine);
        let begun = Instant::now();
        files.keep_earlier(Duration::from_secs(10));
        assert!(unwritten.has(&name("db")) && machine.read("db") == "old");
        machine.comes("api", "new");
        files.write(&names(&["api"]));
        assert_eq!(machine.read("db"), "old");
        files.due().await;
        assert_eq!(begun.elapsed().as_secs(), 10);
        assert!(!files.tend());
        assert!(!machine.has("db") && machine.read("api") == "new");
        assert!(unwritten.has(&name("db")) && !unwritten.has(&name("api")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_can_not_be_written_anew_ends_with_what_is_in_it() {
        let (machine, folder) = machine();
        machine.comes("db", "one");
        let (mut files, unwritten) = files(&machine);
        files.begin(&names(&["db"])).unwrap();
        // The broker gives the same for another 50 minutes, and then something else.
        for minute in 1..=50 {
            files.due().await;
            machine.clock.advance(Duration::from_secs(60));
            machine.comes("db", "one");
            files.tend();
            assert!(machine.has("db"), "{minute}");
        }
        set_mode(&folder, 0o777);
        machine.comes("db", "two");
        assert!(!files.write(&names(&["db"])));
        assert!(unwritten.has(&name("db")));
        machine.clock.advance(Duration::from_secs(3599));
        files.tend();
        assert_eq!(machine.read("db"), "one");
        files.due().await;
        machine.clock.advance(Duration::from_secs(1));
        machine.comes("db", "two");
        files.tend();
        assert!(!machine.has("db"), "it is past its use-by, whatever is held");
        set_mode(&folder, 0o700);
        tokio::time::advance(AGAIN_AFTER).await;
        assert!(files.tend());
        assert_eq!(machine.read("db"), "two");
        assert!(!unwritten.has(&name("db")));
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_looked_at_the_end_itself() {
        let (machine, _) = machine();
        machine.comes("db", "one");
        let (mut files, _) = files(&machine);
        files.begin(&names(&["db"])).unwrap();
        machine.clock.advance(Duration::from_secs(3590));
        files.tend();
        let before = Instant::now();
        files.due().await;
        assert_eq!(before.elapsed().as_secs(), 10);
        machine.clock.advance(Duration::from_secs(10));
        files.tend();
        assert!(!machine.has("db"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_can_not_be_deleted_is_tried_again_and_counts_as_not_delivered() {
        let (machine, folder) = machine();
        machine.comes("db", "one");
        let (mut files, unwritten) = files(&machine);
        files.begin(&names(&["db"])).unwrap();
        fs::remove_file(folder.join("db")).unwrap();
        fs::create_dir(folder.join("db")).unwrap();
        files.withdraw(&names(&["db"]));
        assert!(unwritten.has(&name("db")));
        fs::remove_dir(folder.join("db")).unwrap();
        fs::write(folder.join("db"), "one").unwrap();
        tokio::time::advance(AGAIN_AFTER - MOMENT).await;
        files.tend();
        assert!(machine.has("db"), "not yet");
        files.due().await;
        files.tend();
        assert!(!machine.has("db"));
    }
}
