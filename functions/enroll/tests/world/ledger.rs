//! A ledger in memory that notes what is done to it, and each of whose verbs can fail for itself.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use ports::{
    Count, Fault, Ledger, ReadRow, ReplaceEnded, Row, SpendError, TakeRow,
    memory::{FaultSwitch, MemoryLedger},
};

#[derive(Clone, Default)]
pub struct Verbs {
    pub rows: MemoryLedger,
    /// How each verb misbehaves.
    pub spending: FaultSwitch,
    pub replacing: FaultSwitch,
    pub counting: FaultSwitch,
    pub counting_codes: FaultSwitch,
    pub reading: FaultSwitch,
    pub taking: FaultSwitch,
    done: Arc<Mutex<Vec<String>>>,
}

impl Verbs {
    /// What was done since this was asked last: verbs and the kinds of their keys.
    pub fn done(&self) -> Vec<String> {
        std::mem::take(&mut *self.done.lock().unwrap())
    }

    /// How often these were counted: the counters whose keys begin so.
    pub fn counted(&self, prefix: &str) -> Vec<u32> {
        let counts = self.rows.counts().into_iter();
        counts.filter(|(key, ..)| key.starts_with(prefix)).map(|(_, count, _)| count).collect()
    }

    fn note(&self, verb: &str, key: &str) {
        let kind: Vec<&str> = key.split('#').collect();
        let kind = if kind[0] == "count" { kind[..2].join("#") } else { kind[0].to_owned() };
        self.done.lock().unwrap().push(format!("{verb} {kind}"));
    }
}

impl Ledger for Verbs {
    async fn spend(&self, row: Row) -> Result<(), SpendError> {
        self.note("spend", &row.key);
        self.spending.pass().await?;
        self.rows.spend(row).await
    }
}

impl ReplaceEnded for Verbs {
    async fn replace_ended(&self, row: Row, now: u64) -> Result<(), SpendError> {
        self.note("replace", &row.key);
        self.replacing.pass().await?;
        self.rows.replace_ended(row, now).await
    }
}

impl Count for Verbs {
    async fn count(&self, key: &str, limit: u32, ttl: u64) -> Result<bool, Fault> {
        self.note("count", key);
        let is_of_codes = key.starts_with("count#codes#");
        if is_of_codes { &self.counting_codes } else { &self.counting }.pass().await?;
        self.rows.count(key, limit, ttl).await
    }

    async fn counted(&self, key: &str) -> Result<u32, Fault> {
        self.note("read", key);
        self.reading.pass().await?;
        self.rows.counted(key).await
    }
}

impl ReadRow for Verbs {
    async fn row(&self, key: &str) -> Result<Option<BTreeMap<String, String>>, Fault> {
        self.note("read", key);
        self.reading.pass().await?;
        self.rows.row(key).await
    }
}

impl TakeRow for Verbs {
    async fn take(&self, key: &str) -> Result<Option<BTreeMap<String, String>>, Fault> {
        self.note("take", key);
        self.taking.pass().await?;
        self.rows.take(key).await
    }
}
