//! A provisioner of a step-ca whose key the broker signs one-time tokens with: its key made or imported, and stored where the broker
//! looks for it; and what a CA gives out of its provisioners' keys.

mod deployment;
mod error;
mod exposure;
mod new_key;

pub use deployment::{Deployment, Found};
pub use error::ProvisionerError;
pub use exposure::{Exposure, Shown, shown};
pub use new_key::{NewKey, wait_until_listed};
