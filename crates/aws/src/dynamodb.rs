use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::{
    Client,
    operation::{
        put_item::{PutItemError, builders::PutItemFluentBuilder},
        update_item::UpdateItemError,
    },
    types::{AttributeValue, ReturnValue},
};
use aws_smithy_types::Blob;
use ports::{Count, Fault, Ledger, ReadRow, ReplaceEnded, Row, SpendError, TakeRow};
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
    /// `dynamodb:PutItem`.
    async fn spend(&self, row: Row) -> Result<(), SpendError> {
        self.put(row, |put| put.condition_expression("attribute_not_exists(pk) OR attempt = :attempt")).await
    }
}

impl ReplaceEnded for DynamoDbLedger {
    /// `dynamodb:PutItem`. A row without `ttl` fulfils no comparison with it, and so stays.
    async fn replace_ended(&self, row: Row, now: u64) -> Result<(), SpendError> {
        self.put(row, |put| {
            put.condition_expression("attribute_not_exists(pk) OR #ttl <= :now OR attempt = :attempt")
                .expression_attribute_names("#ttl", "ttl")
                .expression_attribute_values(":now", AttributeValue::N(now.to_string()))
        })
        .await
    }
}

impl DynamoDbLedger {
    async fn get(&self, key: &str) -> Result<Option<HashMap<String, AttributeValue>>, Fault> {
        let get = self.client.get_item().table_name(&self.table).key("pk", AttributeValue::S(key.to_owned()));
        Ok(get.consistent_read(true).send().await.map_err(|error| fault(&error))?.item)
    }

    /// Writes a row under a condition. Each call marks its row with a random `attempt`, so that the SDK's retry of a write whose
    /// answer was lost knows its own row from somebody else's.
    async fn put(
        &self,
        row: Row,
        condition: impl FnOnce(PutItemFluentBuilder) -> PutItemFluentBuilder,
    ) -> Result<(), SpendError> {
        let mut attempt = [0; 16];
        SystemRandom.fill(&mut attempt);
        let attempt = AttributeValue::B(Blob::new(attempt));
        let mut put = condition(self.client.put_item().table_name(&self.table))
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

impl Count for DynamoDbLedger {
    /// `dynamodb:UpdateItem`. The SDK's retry of an update whose answer was lost counts once more.
    async fn count(&self, key: &str, limit: u32, ttl: u64) -> Result<bool, Fault> {
        // The condition holds where there is no counter yet.
        if limit == 0 {
            return Ok(false);
        }
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", AttributeValue::S(key.to_owned()))
            .update_expression("ADD n :one SET #ttl = if_not_exists(#ttl, :ttl)")
            .condition_expression("attribute_not_exists(n) OR n < :limit")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":one", AttributeValue::N("1".to_owned()))
            .expression_attribute_values(":limit", AttributeValue::N(limit.to_string()))
            .expression_attribute_values(":ttl", AttributeValue::N(ttl.to_string()));
        match update.send().await {
            Ok(_) => Ok(true),
            Err(error)
                if error.as_service_error().is_some_and(UpdateItemError::is_conditional_check_failed_exception) =>
            {
                Ok(false)
            }
            Err(error) => Err(fault(&error)),
        }
    }

    /// `dynamodb:GetItem`.
    async fn counted(&self, key: &str) -> Result<u32, Fault> {
        match self.get(key).await?.and_then(|mut found| found.remove("n")) {
            None => Ok(0),
            Some(AttributeValue::N(n)) => n.parse().map_err(|_| Fault::Unusable("not a count")),
            Some(_) => Err(Fault::Unusable("not a count")),
        }
    }
}

impl ReadRow for DynamoDbLedger {
    /// `dynamodb:GetItem`. Attributes that are no texts are left out.
    async fn row(&self, key: &str) -> Result<Option<BTreeMap<String, String>>, Fault> {
        Ok(self.get(key).await?.map(texts))
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
