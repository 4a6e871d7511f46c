//! Device provisioning over AWS IoT: `/things`, `/bulkthings`.
//!
//! A request goes through: body, template, what certificate it asks for, policy, certificate, ledger, registration. What fails
//! after a certificate was made is undone. [`router`] is generic over the ports, so that the Lambda function, the local server
//! and the tests run the same handlers.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod answer;
mod assignments;
mod authorities;
mod authorize;
mod body;
mod bulk;
mod certificate;
mod config;
mod delete;
mod detached;
mod device_policies;
mod openapi;
mod order;
mod path_name;
mod provision;
mod record;
mod registration;
mod registry_name;
mod router;
mod service;
mod status;
mod stop;
mod task;
mod template;
mod template_id;
mod templates;
mod thing;
mod undo;

pub use assignments::Assignments;
pub use config::{Config, PrivateCaAlias};
pub use openapi::openapi;
pub use router::router;
pub use service::{Adapters, Ports, Service};
pub use template::{Template, TemplateError};
pub use template_id::TemplateId;
