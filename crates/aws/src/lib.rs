//! Countersign's ports on AWS: one module per service, one type per client.
//!
//! No other crate names an `aws-sdk-*`. Credentials, region and endpoint come from where the AWS SDKs look for them.

#[cfg(feature = "acmpca")]
mod acmpca;
#[cfg(feature = "ca-registration")]
mod ca_registration;
#[cfg(feature = "cloudwatchlogs")]
mod cloudwatchlogs;
mod connection;
#[cfg(feature = "dynamodb")]
mod dynamodb;
mod http;
#[cfg(feature = "iot")]
mod iot;
#[cfg(feature = "lambda")]
mod lambda;
#[cfg(feature = "s3")]
mod s3;
#[cfg(feature = "secretsmanager")]
mod secretsmanager;
#[cfg(feature = "sesv2")]
mod sesv2;
#[cfg(feature = "sns")]
mod sns;
#[cfg(feature = "ssm")]
mod ssm;
#[cfg(feature = "sts")]
mod sts;

#[cfg(feature = "acmpca")]
pub use acmpca::PrivateCas;
#[cfg(feature = "ca-registration")]
pub use ca_registration::CaRegistry;
#[cfg(feature = "cloudwatchlogs")]
pub use cloudwatchlogs::CloudWatchLogs;
pub use connection::{Connection, Lack};
#[cfg(feature = "dynamodb")]
pub use dynamodb::DynamoDbLedger;
#[cfg(feature = "iot")]
pub use iot::Iot;
#[cfg(feature = "lambda")]
pub use lambda::Lambda;
#[cfg(feature = "s3")]
pub use s3::S3Bucket;
#[cfg(feature = "secretsmanager")]
pub use secretsmanager::SecretsManager;
#[cfg(feature = "sesv2")]
pub use sesv2::Ses;
#[cfg(feature = "sns")]
pub use sns::Sns;
#[cfg(feature = "ssm")]
pub use ssm::ParameterStore;
#[cfg(feature = "sts")]
pub use sts::Sts;
