use ports::chain;
use web::{Event, Outcome, audit};

use crate::{Report, RotateError};

/// Writes what came of a rotation into the audit log: one event, and one for each thing that failed and did not end it.
pub fn record(ended: &Result<Report, RotateError>, request_id: &str) {
    let failed = |action, reason: &str| {
        audit(&Event { reason: Some(reason), ..Event::new(action, Outcome::Failed, request_id) });
    };
    match ended {
        Ok(report) => {
            let detail = serde_json::to_string(report).expect("reports serialize");
            audit(&Event { detail: Some(&detail), ..Event::new("rotate", Outcome::Granted, request_id) });
            report.failures().for_each(|(action, reason)| failed(action, reason));
        }
        Err(error) => failed("rotate", &chain(error)),
    }
}
