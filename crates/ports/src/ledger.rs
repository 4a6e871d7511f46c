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
