//! What a container needs: `countersign.toml`, or the same by variables and flags.

#[cfg(test)]
mod config_tests;
mod error;
mod file;
mod file_mode;
mod file_owner;
mod given;
mod item;
mod item_table;
mod listen_address;
mod merge;
mod reference;
#[cfg(test)]
mod refusal_tests;
mod rules;
#[cfg(test)]
mod schema;
mod settings;
mod text;
mod time_span;
mod warning;

pub use error::{ConfigError, InvalidItem};
pub use file::ConfigFile;
pub use file_mode::{FileMode, InvalidFileMode};
pub use file_owner::{FileOwner, InvalidFileOwner};
pub use given::{Given, GivenItem, InvalidGivenItem};
pub use item::{FileSink, InvalidItemName, Item, ItemName, Member, Source, VariableName};
pub use listen_address::{InvalidListenAddress, ListenAddress};
pub use reference::InvalidReference;
pub use settings::{
    AtUseBy, BrokerSettings, ChildSettings, Config, EndpointSettings, Inherit, InvalidOnChange, InvalidSignal,
    OnChange, RefreshSettings, Signal,
};
pub use time_span::{InvalidTimeSpan, TimeSpan};
pub use warning::Warning;

/// The JSON Schema (draft 2020-12) of `countersign.toml`.
pub const SCHEMA: &str = include_str!("../../../docs/countersign.schema.json");
