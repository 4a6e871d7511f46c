use tokio::sync::{mpsc, oneshot};

use crate::config::ItemName;

/// Has items asked for before their time: what was not asked for within the shortest interval is due now, whether it waits for
/// its next time or after failures. While the broker asks to be left alone, it is left alone. Clones speak to the same loop.
#[derive(Clone, Debug)]
pub struct Nudge(mpsc::Sender<Nudged>);

/// One nudge.
#[derive(Debug)]
pub(super) struct Nudged {
    /// Which item; absent: all.
    pub(super) item: Option<ItemName>,
    /// Dropped when there is no more to wait for.
    pub(super) waiting: Option<oneshot::Sender<()>>,
}

impl Nudge {
    pub(super) fn new() -> (Self, mpsc::Receiver<Nudged>) {
        let (sender, receiver) = mpsc::channel(64);
        (Self(sender), receiver)
    }

    /// Makes this item, or all, due now. It does not wait; where many wait already, they will do.
    pub fn now(&self, item: Option<&ItemName>) {
        let _ = self.0.try_send(Nudged { item: item.cloned(), waiting: None });
    }

    /// Makes this item, or all, due now, and returns when what was due has been asked for, whatever came of it.
    pub async fn and_wait(&self, item: Option<&ItemName>) {
        let (waiting, done) = oneshot::channel();
        if self.0.send(Nudged { item: item.cloned(), waiting: Some(waiting) }).await.is_ok() {
            let _ = done.await;
        }
    }
}
