use std::collections::BTreeMap;

use crate::Fault;

/// What may happen once, and what is remembered of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The partition key. Its first part names the kind of row.
    pub key: String,
    /// After this Unix time, in seconds, the row may be deleted; without it never.
    pub ttl: Option<u64>,
    /// What the row records, by attribute name.
    pub record: Vec<(&'static str, String)>,
}

/// Why a row was not written.
#[derive(Debug, thiserror::Error)]
pub enum SpendError {
    /// The key was spent before.
    #[error("spent before")]
    AlreadySpent,
    /// The ledger gave no answer; the row may have been written.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Writes a row that must not exist yet.
pub trait Ledger: Send + Sync + 'static {
    /// Spends the row's key. `Ok` means that the row is durable and was not there before.
    ///
    /// Source: Amazon DynamoDB `PutItem` with `attribute_not_exists`.
    fn spend(&self, row: Row) -> impl Future<Output = Result<(), SpendError>> + Send;
}

/// Writes a row in place of one that has ended.
pub trait ReplaceEnded: Send + Sync + 'static {
    /// Writes the row unless one of its key is there that has not ended: whose `ttl` is after `now` (Unix time in seconds), or that
    /// has none. `Ok` means that the row is durable; of several that ask at once, one gets it.
    ///
    /// The store may keep a row for days after its `ttl`, which is why this looks at the time.
    ///
    /// Source: Amazon DynamoDB `PutItem` with `attribute_not_exists` or the `ttl` that is there at most `now`.
    fn replace_ended(&self, row: Row, now: u64) -> impl Future<Output = Result<(), SpendError>> + Send;
}

/// Counts up to a limit.
pub trait Count: Send + Sync + 'static {
    /// Adds one under this key, unless as many as the limit are counted there already; says whether it was added. Of several that ask
    /// at once, no more than the limit are told that it was.
    ///
    /// A counter is never set back: its key contains what it counts in, such as a window of time, and `ttl` (which the first count
    /// decides) is to be after that.
    ///
    /// Not promised: that it counts once. Where the answer is lost on the way and the store is asked again, it counts twice, and may say
    /// that the limit is reached where the first try reached it. That errs on the strict side.
    ///
    /// Source: Amazon DynamoDB `UpdateItem` with `ADD`, under a condition.
    fn count(&self, key: &str, limit: u32, ttl: u64) -> impl Future<Output = Result<bool, Fault>> + Send;

    /// How many are counted under this key by now.
    ///
    /// Source: Amazon DynamoDB `GetItem` with `ConsistentRead`.
    fn counted(&self, key: &str) -> impl Future<Output = Result<u32, Fault>> + Send;
}

/// Reads rows.
pub trait ReadRow: Send + Sync + 'static {
    /// What the row of this key records, or `None` where there is none.
    ///
    /// Not checked: the row's `ttl`, which rows outlive.
    ///
    /// Source: Amazon DynamoDB `GetItem` with `ConsistentRead`.
    fn row(&self, key: &str) -> impl Future<Output = Result<Option<BTreeMap<String, String>>, Fault>> + Send;
}

/// Takes rows away.
pub trait TakeRow: Send + Sync + 'static {
    /// Deletes the row of this key and gives what it recorded, or `None` where there is none. Of several that ask, one gets it;
    /// whose answer is lost on the way asks in vain.
    ///
    /// Not checked: the row's `ttl`, which rows outlive.
    ///
    /// Source: Amazon DynamoDB `DeleteItem` with `ReturnValues` `ALL_OLD`.
    fn take(&self, key: &str) -> impl Future<Output = Result<Option<BTreeMap<String, String>>, Fault>> + Send;
}
