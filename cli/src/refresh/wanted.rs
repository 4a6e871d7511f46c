use std::{sync::Arc, time::Duration};

use protocol::{Answer, ClientError, Grant, Want};

use super::{Failure, ItemValue, NotTheItem, schedule::Moment};
use crate::{Error, config::Item};

/// A distinct want, and the items that are made of what comes for it.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) want: Want,
    pub(super) items: Vec<Item>,
}

impl Wanted {
    /// The distinct wants of these items, in their order.
    pub(super) fn of(items: &[Item]) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for item in items {
            let want = item.source.want();
            match all.iter_mut().find(|wanted| wanted.want == want) {
                Some(wanted) => wanted.items.push(item.clone()),
                None => all.push(Self { want, items: vec![item.clone()] }),
            }
        }
        all
    }

    /// How long the one of its items that is kept for the shortest is kept.
    pub(super) fn keep(&self) -> Duration {
        self.items.iter().map(|item| item.keep).min().unwrap_or(Duration::MAX)
    }
}

/// Makes an item of what came for its want.
///
/// # Errors
/// [`Error::NotTheItem`].
pub(super) fn make(item: &Item, grant: &Arc<Grant>, came: Moment) -> Result<ItemValue, Error> {
    let made = ItemValue::new(&item.source, Arc::clone(grant)).and_then(|value| match life(&value, came) {
        Some(Duration::ZERO) => Err(NotTheItem::Ended),
        _ => Ok(value),
    });
    made.map_err(|source| Error::NotTheItem { item: item.name.clone(), source })
}

/// How long what came then lives, where it has an end of its own.
pub(super) fn life(value: &ItemValue, came: Moment) -> Option<Duration> {
    value.expires_at().map(|end| Duration::from_secs(end).saturating_sub(came.wall))
}

/// The grants, where there is one for each want.
pub(super) fn whole(answer: Answer, wants: usize) -> Result<Vec<Grant>, Failure> {
    if answer.granted.len() == wants {
        Ok(answer.granted)
    } else {
        Err(Failure::ForGood(Error::Protocol(ClientError::MalformedAnswer)))
    }
}
