//! Where items go: variables, files, standard input.

mod accounts;
mod delivery;
mod delivery_error;
#[cfg(test)]
mod delivery_tests;
#[cfg(test)]
pub(crate) mod fixture;
mod folder;
mod item_file;
mod lent_items;
pub(crate) mod placed_file;
mod runtime_folder;
mod standard_input;
mod template;
mod trial;
mod variables;

pub use delivery::{Delivery, Rewritten};
pub use delivery_error::DeliveryError;
pub use runtime_folder::RuntimeFolder;
pub use template::{NotText, TemplateFault};
pub(crate) use trial::{Doubts, RuntimeTrial, Trial};
