//! What keeps items fresh.

mod counts;
mod event;
mod exchange;
mod holdings;
mod item_value;
mod nudge;
mod refresher;
mod rounds;
mod schedule;

pub use counts::Counts;
pub use event::Event;
pub use exchange::{Exchange, Failure};
pub use holdings::{Holdings, ItemState};
pub use item_value::{ItemValue, NotTheItem};
pub use nudge::Nudge;
pub use refresher::Refresher;
