//! What keeps items fresh.

mod counts;
#[cfg(test)]
mod day_tests;
mod event;
mod exchange;
mod holdings;
mod item_value;
mod nudge;
mod refresher;
mod rounds;
#[cfg(test)]
mod rounds_tests;
pub(crate) mod schedule;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod start_tests;
mod upkeep;
#[cfg(test)]
mod upkeep_tests;
mod wanted;

pub use counts::Counts;
pub use event::Event;
pub use exchange::{Exchange, Failure};
pub use holdings::{Holdings, ItemState};
pub use item_value::{ItemValue, NotTheItem};
pub use nudge::Nudge;
pub use refresher::Refresher;
