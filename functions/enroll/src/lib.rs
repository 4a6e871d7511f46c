//! The registration authority of a step-ca: `/v2/enroll/challenge`, `/v2/enroll/token`, `/v2/enroll/revocation`, and the older
//! service's `/registration`, `/send_token`, `/revoke_token`.
//!
//! A request for a one-time token goes through: body, source, proof (a code that was sent to the subject, or an access token), policy
//! for every name, the code's end, ledger, token. [`router`] is generic over the ports, so that the Lambda function, the local server
//! and the tests run the same handlers.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod authorize;
mod bearer;
mod body;
mod certificate_owner;
mod challenge;
mod channel;
mod code;
mod config;
mod directory;
mod grant;
mod grant_request;
mod limits;
mod message;
mod older;
mod openapi;
mod order;
mod pace;
mod proof;
mod record;
mod revocation;
mod router;
mod service;
mod shared_key;
mod stop;
mod token;
mod webhook;

pub use config::Config;
pub use directory::{Addresses, Directory, DirectoryError};
pub use openapi::openapi;
pub use router::router;
pub use service::{Adapters, Ports, Service};
pub use webhook::SignedWebhook;
