use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use super::{FaultSwitch, lock};
use crate::{Count, Fault, Ledger, ReadRow, ReplaceEnded, Row, SpendError, TakeRow};

/// A ledger in memory; clones share it.
#[derive(Clone, Debug, Default)]
pub struct MemoryLedger {
    rows: Arc<Mutex<BTreeMap<String, Row>>>,
    counts: Arc<Mutex<BTreeMap<String, (u32, u64)>>>,
    /// How it misbehaves.
    pub switch: FaultSwitch,
}

impl MemoryLedger {
    /// Every row, in the order of keys.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        lock(&self.rows).values().cloned().collect()
    }

    /// Every counter: its key, how much was counted, and its `ttl`; in the order of keys.
    #[must_use]
    pub fn counts(&self) -> Vec<(String, u32, u64)> {
        lock(&self.counts).iter().map(|(key, (n, ttl))| (key.clone(), *n, *ttl)).collect()
    }
}

impl Ledger for MemoryLedger {
    async fn spend(&self, row: Row) -> Result<(), SpendError> {
        self.switch.pass().await?;
        let mut rows = lock(&self.rows);
        if rows.contains_key(&row.key) {
            return Err(SpendError::AlreadySpent);
        }
        rows.insert(row.key.clone(), row);
        Ok(())
    }
}

impl ReplaceEnded for MemoryLedger {
    async fn replace_ended(&self, row: Row, now: u64) -> Result<(), SpendError> {
        self.switch.pass().await?;
        let mut rows = lock(&self.rows);
        if rows.get(&row.key).is_some_and(|found| found.ttl.is_none_or(|ttl| ttl > now)) {
            return Err(SpendError::AlreadySpent);
        }
        rows.insert(row.key.clone(), row);
        Ok(())
    }
}

impl Count for MemoryLedger {
    async fn count(&self, key: &str, limit: u32, ttl: u64) -> Result<bool, Fault> {
        self.switch.pass().await?;
        let mut counts = lock(&self.counts);
        let (n, _) = counts.entry(key.to_owned()).or_insert((0, ttl));
        let added = *n < limit;
        *n += u32::from(added);
        Ok(added)
    }

    async fn counted(&self, key: &str) -> Result<u32, Fault> {
        self.switch.pass().await?;
        Ok(lock(&self.counts).get(key).map_or(0, |(n, _)| *n))
    }
}

impl ReadRow for MemoryLedger {
    async fn row(&self, key: &str) -> Result<Option<BTreeMap<String, String>>, Fault> {
        self.switch.pass().await?;
        Ok(lock(&self.rows).get(key).cloned().map(recorded))
    }
}

impl TakeRow for MemoryLedger {
    async fn take(&self, key: &str) -> Result<Option<BTreeMap<String, String>>, Fault> {
        self.switch.pass().await?;
        Ok(lock(&self.rows).remove(key).map(recorded))
    }
}

fn recorded(row: Row) -> BTreeMap<String, String> {
    row.record.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
