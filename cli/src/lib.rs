//! Countersign's client: proves that this machine holds its group's pool, and receives what policy allows; or gets an access
//! token for a key of the ssh-agent, by [`TokenClient`], and provisions devices with it, by [`DeviceClient`].
//!
//! ```no_run
//! use countersign::{Client, Group, Grant, MaterialDir, Want};
//!
//! # async fn example() -> Result<(), countersign::Error> {
//! let group: Group = "web".parse().expect("a group's name");
//! let client = Client::new(MaterialDir::new("/var/lib/countersign"), group);
//! let want = Want::Secret { id: "app/db".into(), version_id: None, version_stage: None };
//! let answer = client.exchange(&[want]).await?;
//! if let Grant::Secret(secret) = &answer.granted[0] {
//!     let password: &[u8] = secret.value.expose();
//! }
//! # Ok(())
//! # }
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod agent;
#[cfg(feature = "operator")]
pub mod audit;
#[cfg(feature = "operator")]
mod aws_error;
mod bearer_token;
mod broker_url;
#[cfg(feature = "operator")]
mod ca_error;
#[cfg(feature = "operator")]
mod ca_files;
#[cfg(feature = "operator")]
mod ca_registration;
#[cfg(feature = "operator")]
mod cell;
mod certificate_file;
mod client;
#[cfg(test)]
mod client_tests;
#[cfg(test)]
mod closed;
pub mod config;
mod console;
mod credential_process;
pub mod deliver;
mod device_answer;
mod device_client;
#[cfg(test)]
mod device_client_tests;
mod device_error;
mod device_files;
mod device_name;
mod device_order;
pub mod doctor;
pub mod endpoint;
pub mod enrollment;
mod error;
mod material;
#[cfg(feature = "operator")]
mod network_order;
mod new_file;
mod origin;
mod plain;
mod pool_file;
mod profile;
#[cfg(feature = "operator")]
pub mod provisioner;
pub mod refresh;
mod send;
pub mod step_ca;
pub mod supervise;
#[cfg(feature = "operator")]
mod table;
mod tls_error;
mod token_cache;
mod token_client;
mod token_error;

pub use access_token::{Claims, Fingerprint, KeySet, Lifetime, Network, NetworkName, Scope, SshKey, TokenRefusal};
pub use agent::{Agent, AgentKey};
#[cfg(feature = "operator")]
pub use aws_error::AwsError;
pub use bearer_token::BearerToken;
pub use broker_url::BrokerUrl;
#[cfg(feature = "operator")]
pub use ca_error::CaError;
#[cfg(feature = "operator")]
pub use ca_files::CaFiles;
#[cfg(feature = "operator")]
pub use ca_registration::{CaRegistration, RegisteredNow};
pub use certificate_file::CertificateFile;
pub use client::Client;
pub use console::Console;
pub use credential_process::{access_key_document, document as credential_process_document};
pub use device_answer::{BulkTask, Device, DeviceCertificate, DeviceGroup, DevicePolicy, Provisioned};
pub use device_client::{DeviceClient, MAX_REPORT_BYTES};
pub use device_error::{BrokerSaid, DeviceError, Ordered};
pub use device_files::{DeviceFiles, ReservedKey};
pub use device_name::{InvalidName, TaskId, ThingName};
pub use device_order::{BulkOrder, CertificateOrder, CertificateSubject, DeviceOrder, TemplateChoice};
pub use error::Error;
pub use material::{Material, MaterialDir, StoredMaterial};
#[cfg(feature = "operator")]
pub use network_order::NetworkOrder;
pub use npm::{PackageName, Publication};
pub use origin::{InvalidOrigin, Origin};
pub use pki::{Authority, Certificate, Csr, DeviceKey, KeyKind, PkiError, PublicKey, Subject, SubjectFields};
pub use plain::plain;
pub use pool_file::PoolFile;
pub use ports::CertificateStatus;
pub use profile::{AccessKey, InvalidProfile, Profile};
pub use protocol::{
    AccessToken, Answer, AwsCredentials, Denial, DenialCode, Grant, Group, Manifest, Pool, Secret, SecretGrant,
    SecretValue, SubjectName, Want,
};
#[cfg(feature = "operator")]
pub use table::{Column, Table};
pub use token_cache::TokenCache;
pub use token_client::TokenClient;
pub use token_error::{Candidates, TokenError};
