//! What could keep a container from getting what it needs, looked at one by one.
//!
//! | check | what it tells |
//! | --- | --- |
//! | `configuration` | whether there is one, and what is asked for |
//! | `permissions` | whether runtime folder, folders and templates can be used, and files be given to their owners |
//! | `material` | whether it is there, closed to others and whole |
//! | `origin` | whether the place that material is pulled from gives it |
//! | `name` | whether the names of the origin's and of the broker's host are known |
//! | `connection` | whether the broker's port is open |
//! | `certificate` | whether the broker's certificate is trusted |
//! | `broker` | whether what answers there is a broker, and well |
//! | `clock` | how far this machine's clock is from the broker's |
//! | `generation` | whether the material is the broker's latest |
//! | `item` | for each item, whether the broker gives it and it is what it should be |
//!
//! The order is that of what depends on what: a check that needs an earlier one that failed is not tried, and says so. Nothing
//! stays on this machine of what is tried. Of what the broker gives, no value is kept or told; it issues what it gives, though,
//! and records that it did.

mod broker_checks;
mod examination;
mod finding;
mod item_checks;
mod material_checks;
mod network_checks;
mod permission_checks;

pub use examination::examine;
pub use finding::{Check, Finding, Outcome, Report};
