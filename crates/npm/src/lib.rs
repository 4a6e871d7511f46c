//! A group's material as a private npm package: made, published, and fetched through the registry's HTTP API, without
//! Node.
//!
//! The package holds `groups/<group>/manifest.json` as the broker's bucket does, the pool as `build/info2048.bin` and
//! the server key as `build/public.pem`, where clients of the older service look for them.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod document;
mod error;
mod name;
mod package;
mod port;
mod registry;

pub use error::Error;
pub use name::{InvalidName, PackageName, PackageSpec};
pub use port::NpmRegistry;
pub use registry::{Publication, Registry};
