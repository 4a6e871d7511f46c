//! What keeps items fresh.

mod exchange;
mod holdings;
mod item_value;

pub use exchange::{Exchange, Failure};
pub use holdings::{Holdings, ItemState};
pub use item_value::{ItemValue, NotTheItem};
