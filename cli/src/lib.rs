//! Countersign's client: proves that this machine holds its group's pool, and receives what policy allows; or gets an access
//! token for a key of the ssh-agent, by [`TokenClient`].
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
mod bearer_token;
mod broker_url;
mod client;
mod console;
mod error;
mod material;
mod network_order;
mod origin;
mod pool_file;
mod profile;
mod send;
mod token_cache;
mod token_client;
mod token_error;

pub use access_token::{Claims, Fingerprint, KeySet, Lifetime, Network, NetworkName, Scope, SshKey, TokenRefusal};
pub use agent::{Agent, AgentKey};
pub use bearer_token::BearerToken;
pub use broker_url::BrokerUrl;
pub use client::Client;
pub use console::Console;
pub use error::Error;
pub use material::{Material, MaterialDir, StoredMaterial};
pub use network_order::NetworkOrder;
pub use npm::{PackageName, Publication};
pub use origin::{InvalidOrigin, Origin};
pub use pool_file::PoolFile;
pub use profile::{AccessKey, InvalidProfile, Profile};
pub use protocol::{
    AccessToken, Answer, AwsCredentials, Denial, DenialCode, Grant, Group, Manifest, Pool, Secret, SecretGrant,
    SecretValue, Want,
};
pub use token_cache::TokenCache;
pub use token_client::TokenClient;
pub use token_error::{Candidates, TokenError};
