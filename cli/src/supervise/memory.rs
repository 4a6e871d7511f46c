use rustix::process::{DumpableBehavior, set_dumpable_behavior};

use crate::supervise::SuperviseError;

/// Keeps this process's memory from core dumps, from debuggers and from readers of `/proc` that are not root. A command that it
/// starts, or that takes its place, is as the system makes it.
///
/// Core limits stay as they are: a child would inherit a lower one, and a process that is not dumpable leaves no core whatever its
/// limit is. See `docs/decisions/0027-exec-replaces-itself-or-stays.md`.
///
/// # Errors
/// [`SuperviseError::Process`].
pub fn hide_memory() -> Result<(), SuperviseError> {
    let set = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    set.map_err(|source| SuperviseError::Process { action: "hide the memory of this process", source: source.into() })
}
