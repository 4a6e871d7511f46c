//! Runs a command in place of this process, or as a child: as PID 1 where it must.

mod child;
mod command_line;
mod end;
mod environment;
mod hook;
mod memory;
mod reaper;
mod signals;
mod supervise_error;

use child::Child;
pub use command_line::{CommandLine, Given, ProcessGroup, Stdin};
pub use end::End;
pub use environment::Environment;
pub use hook::Hook;
pub use memory::hide_memory;
pub use reaper::Reaper;
pub use signals::Signals;
pub use supervise_error::SuperviseError;
