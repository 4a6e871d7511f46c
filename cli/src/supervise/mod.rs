//! Runs a command in place of this process, or as a child: as PID 1 where it must.

mod child;
mod command_line;
mod end;
mod environment;
mod files;
mod given;
mod hook;
mod memory;
mod reaper;
#[cfg(test)]
mod restart_tests;
mod signal_masks;
mod signals;
#[cfg(test)]
mod stub;
mod supervise_error;
mod supervision;
mod supervisor;
#[cfg(test)]
mod supervisor_tests;
#[cfg(test)]
mod terminal_tests;

use child::Child;
pub use command_line::{CommandLine, ProcessGroup};
pub use end::End;
pub use environment::Environment;
pub use files::Files;
pub use given::{Given, Stdin};
pub use hook::Hook;
pub use memory::hide_memory;
pub use reaper::Reaper;
pub use signals::Signals;
pub(crate) use signals::number;
pub use supervise_error::SuperviseError;
pub use supervisor::Supervisor;
