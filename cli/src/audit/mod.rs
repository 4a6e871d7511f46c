//! The audit log of a deployment: what Countersign's functions write of each request, one JSON object a line.
//!
//! Callers of the functions choose parts of these lines. So a line is bounded, nothing of it reaches a terminal that the terminal
//! would obey, nothing a spreadsheet that it would reckon, and memory doesn't grow with a log.

mod error;
mod filter;
mod log_groups;
mod reader;
mod record;
mod sheet;
mod sources;

pub use error::AuditError;
pub use filter::{Filter, OUTCOMES};
pub use log_groups::{FUNCTIONS, LogGroups};
pub use reader::Lines;
pub use record::{COLUMNS, Line, Record};
pub use sheet::Sheet;
pub use sources::{SOURCE_COLUMNS, Source, Sources};
