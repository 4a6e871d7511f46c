use aws_sdk_dynamodb::{Client, operation::put_item::PutItemError, types::AttributeValue};
use ports::{Ledger, Row, SpendError};

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
    /// `dynamodb:PutItem`. A retry of a write whose answer was lost finds its own row and reports it as spent: the
    /// caller is refused, and nothing is released twice.
    async fn spend(&self, row: Row) -> Result<(), SpendError> {
        let mut put = self
            .client
            .put_item()
            .table_name(&self.table)
            .condition_expression("attribute_not_exists(pk)")
            .item("pk", AttributeValue::S(row.key))
            .item("ttl", AttributeValue::N(row.ttl.to_string()));
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
