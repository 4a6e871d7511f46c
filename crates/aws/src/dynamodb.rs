use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::{
    Client,
    operation::put_item::PutItemError,
    types::{AttributeValue, ReturnValue},
};
use aws_smithy_types::Blob;
use ports::{Fault, Ledger, ReadRow, Row, SpendError, TakeRow};
use protocol::{Random as _, SystemRandom};

use crate::{Connection, connection::fault};

/// The ledger in one DynamoDB table with the partition key `pk` and time to live on `ttl`.
#[derive(Clone, Debug)]
pub struct DynamoDbLedger {
    client: Client,
    table: String,
}

impl DynamoDbLedger {
    /// The ledger in this table.
    #[must_use]
    pub fn new(connection: &Connection, table: String) -> Self {
        Self { client: Client::new(&connection.0), table }
    }
}

impl Ledger for DynamoDbLedger {
    /// `dynamodb:PutItem`. Each call marks its row with a random attempt, so that the SDK's retry of a write whose
    /// answer was lost knows its own row from somebody else's.
    async fn spend(&self, row: Row) -> Result<(), SpendError> {
        let mut attempt = [0; 16];
        SystemRandom.fill(&mut attempt);
        let attempt = AttributeValue::B(Blob::new(attempt));
        let mut put = self
            .client
            .put_item()
            .table_name(&self.table)
            .condition_expression("attribute_not_exists(pk) OR attempt = :attempt")
            .expression_attribute_values(":attempt", attempt.clone())
            .item("attempt", attempt)
            .item("pk", AttributeValue::S(row.key));
        if let Some(ttl) = row.ttl {
            put = put.item("ttl", AttributeValue::N(ttl.to_string()));
        }
        for (name, value) in row.record {
            put = put.item(name, AttributeValue::S(value));
        }
        match put.send().await {
            Ok(_) => Ok(()),
            Err(error) if error.as_service_error().is_some_and(PutItemError::is_conditional_check_failed_exception) => {
                Err(SpendError::AlreadySpent)
            }
            Err(error) => Err(fault(&error).into()),
        }
    }
}

impl ReadRow for DynamoDbLedger {
    /// `dynamodb:GetItem`. Attributes that are no texts are left out.
    async fn row(&self, key: &str) -> Result<Option<BTreeMap<String, String>>, Fault> {
        let get = self.client.get_item().table_name(&self.table).key("pk", AttributeValue::S(key.to_owned()));
        let found = get.consistent_read(true).send().await.map_err(|error| fault(&error))?;
        Ok(found.item.map(texts))
    }
}

impl TakeRow for DynamoDbLedger {
    /// `dynamodb:DeleteItem`. Attributes that are no texts are left out.
    async fn take(&self, key: &str) -> Result<Option<BTreeMap<String, String>>, Fault> {
        let delete = self.client.delete_item().table_name(&self.table).key("pk", AttributeValue::S(key.to_owned()));
        let deleted = delete.return_values(ReturnValue::AllOld).send().await.map_err(|error| fault(&error))?;
        Ok(deleted.attributes.map(texts))
    }
}

fn texts(attributes: HashMap<String, AttributeValue>) -> BTreeMap<String, String> {
    let text = |(name, value)| if let AttributeValue::S(value) = value { Some((name, value)) } else { None };
    attributes.into_iter().filter_map(text).collect()
}
