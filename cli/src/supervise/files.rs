use std::{collections::BTreeSet, time::Duration};

use ports::chain;
use tokio::time::{Instant, sleep_until};

use crate::{config::ItemName, deliver::Delivery, endpoint::Unwritten};

/// How long after a file could not be written it is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(30);

/// Files that are written as their items change, and tried again where that failed.
pub struct Files {
    delivery: Delivery,
    unwritten: Unwritten,
    /// What was to be written when a file last failed.
    failed: BTreeSet<ItemName>,
    again_at: Option<Instant>,
}

impl Files {
    /// Files of this delivery. What could not be written is told there.
    #[must_use]
    pub const fn new(delivery: Delivery, unwritten: Unwritten) -> Self {
        Self { delivery, unwritten, failed: BTreeSet::new(), again_at: None }
    }

    /// Writes the files that these items are in, and those that failed before; whether one is another than it was. Why others
    /// were not written is logged.
    pub fn write(&mut self, names: &[ItemName]) -> bool {
        let rewritten = self.delivery.rewrite(names);
        for failure in &rewritten.failures {
            tracing::error!(error = chain(failure), "a file was not written");
        }
        self.failed.extend(names.iter().cloned());
        if rewritten.failures.is_empty() {
            self.unwritten.remove(&std::mem::take(&mut self.failed));
            self.again_at = None;
        } else {
            self.unwritten.add(&self.failed);
            self.again_at = Some(Instant::now() + AGAIN_AFTER);
        }
        rewritten.changed
    }

    /// When what failed is to be tried again: by [`Files::write`], of no items. Never, where nothing failed.
    pub async fn again(&self) {
        at(self.again_at).await;
    }

    /// What they are delivered by.
    #[must_use]
    pub const fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    /// What they are delivered by.
    pub const fn delivery_mut(&mut self) -> &mut Delivery {
        &mut self.delivery
    }
}

/// Waits until this time, or for ever.
pub(crate) async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
