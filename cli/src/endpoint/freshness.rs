use std::{pin::Pin, time::Duration};

use tokio::{sync::Semaphore, time};

use crate::config::ItemName;

/// How long a request waits for what it wants fresh. It is answered with what is there then.
const WAIT: Duration = Duration::from_secs(5);

/// How many requests may wait. Others are answered with what is there: connections are counted, and probes need some.
const WAITING: usize = 16;

type Asking = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Has items asked for again for those who will not have what is there: no oftener than the configuration lets it.
pub(crate) struct Freshness {
    ask: Box<dyn Fn(ItemName) -> Asking + Send + Sync>,
    waiting: Semaphore,
}

impl Freshness {
    pub(crate) fn new(ask: impl Fn(ItemName) -> Asking + Send + Sync + 'static) -> Self {
        Self { ask: Box::new(ask), waiting: Semaphore::new(WAITING) }
    }

    /// Returns when the broker has answered, or the time to wait is over, or the item came so lately that the broker is not
    /// asked. What is held then is the answer, be it new or not.
    pub(crate) async fn of(&self, item: &ItemName) {
        if let Ok(_one_of_few) = self.waiting.try_acquire() {
            let _ = time::timeout(WAIT, (self.ask)(item.clone())).await;
        }
    }
}
