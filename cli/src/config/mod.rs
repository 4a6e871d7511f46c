//! What a container needs: `countersign.toml`, or the same by variables and flags.

mod file_mode;
mod file_owner;
mod item;
mod settings;

pub use file_mode::{FileMode, InvalidFileMode};
pub use file_owner::{FileOwner, InvalidFileOwner};
pub use item::{FileSink, InvalidItemName, Item, ItemName, Member, Source, VariableName};
pub use settings::{
    AtUseBy, BrokerSettings, ChildSettings, Config, EndpointSettings, Inherit, InvalidSignal, OnChange,
    RefreshSettings, Signal,
};
