//! The ports beside AWS IoT whose calls are noted and fail by name.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use pki::{Authority, Csr};
use ports::{
    Fault, Ledger, PrivateCa, PrivateCaOrder, ReadRow, ReadSecureParameter, Row, SpendError, TakeRow,
    memory::MemoryLedger,
};
use protocol::{Secret, SystemRandom};

use super::{NOW, faults::Faults};

/// A ledger: `spend`, `row`, `take`.
#[derive(Clone)]
pub struct NotedLedger {
    pub rows: MemoryLedger,
    pub faults: Faults,
}

impl Ledger for NotedLedger {
    async fn spend(&self, row: Row) -> Result<(), SpendError> {
        let mut spent = Ok(());
        let spending = async {
            spent = self.rows.spend(row).await;
            Ok(())
        };
        self.faults.call("spend", spending).await?;
        spent
    }
}

impl ReadRow for NotedLedger {
    async fn row(&self, key: &str) -> Result<Option<BTreeMap<String, String>>, Fault> {
        self.faults.call("row", self.rows.row(key)).await
    }
}

impl TakeRow for NotedLedger {
    async fn take(&self, key: &str) -> Result<Option<BTreeMap<String, String>>, Fault> {
        self.faults.call("take", self.rows.take(key)).await
    }
}

/// Parameter Store: `read_secure`.
#[derive(Clone)]
pub struct MemorySecureParameters {
    pub values: Arc<Mutex<BTreeMap<String, String>>>,
    pub faults: Faults,
}

impl ReadSecureParameter for MemorySecureParameters {
    async fn read_secure(&self, name: &str) -> Result<Secret<String>, Fault> {
        let value = self.values.lock().unwrap().get(name).cloned();
        self.faults.call("read_secure", async { value.map(Secret::new).ok_or(Fault::Missing) }).await
    }
}

/// The CA, the role, the days.
pub type Asked = (String, Option<String>, u32);

/// AWS Private CA: `sign`.
#[derive(Clone)]
pub struct MemoryPrivateCas {
    pub authorities: Arc<BTreeMap<String, Authority>>,
    /// What was asked for.
    pub orders: Arc<Mutex<Vec<Asked>>>,
    /// A request that is signed in place of the one that comes.
    pub instead: Arc<Mutex<Option<Csr>>>,
    pub faults: Faults,
}

impl PrivateCa for MemoryPrivateCas {
    async fn sign(&self, order: &PrivateCaOrder<'_>) -> Result<String, Fault> {
        self.faults
            .call("sign", async {
                let asked = (order.ca_arn.to_owned(), order.role_arn.map(str::to_owned), order.days);
                self.orders.lock().unwrap().push(asked);
                let authority = self.authorities.get(order.ca_arn).ok_or(Fault::Missing)?;
                let csr = Csr::from_pem(order.csr).map_err(|error| Fault::Invalid(error.into()))?;
                let csr = self.instead.lock().unwrap().take().unwrap_or(csr);
                let (subject, public_key) = (csr.subject(), csr.public_key());
                let order = pki::Order { subject, public_key, now: NOW, days: order.days };
                let certificate = authority.issue(&order, &SystemRandom);
                certificate.map(|certificate| certificate.to_pem()).map_err(|error| Fault::Invalid(error.into()))
            })
            .await
    }
}
