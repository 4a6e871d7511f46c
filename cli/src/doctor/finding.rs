use ports::chain;
use serde::Serialize;

use crate::Error;

/// What is looked at. They are in the order of what depends on what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// What says what is needed.
    Configuration,
    /// Folders, files, owners, templates.
    Permissions,
    /// What this machine proves itself with.
    Material,
    /// Where material is pulled from.
    Origin,
    /// The name of a host.
    Name,
    /// The broker's port.
    Connection,
    /// The broker's certificate.
    Certificate,
    /// What answers.
    Broker,
    /// The time.
    Clock,
    /// How new the material is.
    Generation,
    /// One thing that is needed.
    Item,
}

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is as it should be.
    Ok,
    /// It works, and may not for ever or everywhere.
    Warning,
    /// It does not work.
    Failed,
    /// It depends on what failed.
    NotTried,
}

/// What was found by one check, of one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which check.
    pub check: Check,
    /// What came of it.
    pub outcome: Outcome,
    /// What was found, in one line.
    pub found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The exit code of a command that fails by it; 0 where it does not.
    pub exit_code: u8,
}

/// All that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// In the order of the checks.
    pub findings: Vec<Finding>,
    /// That of the first check that failed, else 0.
    pub exit_code: u8,
}

impl Check {
    /// All of them, in their order.
    pub const ALL: [Self; 11] = [
        Self::Configuration,
        Self::Permissions,
        Self::Material,
        Self::Origin,
        Self::Name,
        Self::Connection,
        Self::Certificate,
        Self::Broker,
        Self::Clock,
        Self::Generation,
        Self::Item,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Permissions => "permissions",
            Self::Material => "material",
            Self::Origin => "origin",
            Self::Name => "name",
            Self::Connection => "connection",
            Self::Certificate => "certificate",
            Self::Broker => "broker",
            Self::Clock => "clock",
            Self::Generation => "generation",
            Self::Item => "item",
        }
    }

    pub(super) fn ok(self, found: impl Into<String>) -> Finding {
        Finding { check: self, outcome: Outcome::Ok, found: found.into(), hint: None, exit_code: 0 }
    }

    pub(super) fn warning(self, found: impl Into<String>, hint: impl Into<String>) -> Finding {
        Finding { outcome: Outcome::Warning, hint: Some(hint.into()), ..self.ok(found) }
    }

    pub(super) fn failed(self, found: impl Into<String>, hint: impl Into<String>, exit_code: u8) -> Finding {
        Finding { outcome: Outcome::Failed, exit_code, ..self.warning(found, hint) }
    }

    /// It failed by what a command would fail by.
    pub(super) fn error(self, error: &Error) -> Finding {
        self.failed(chain(error), error.hint(), error.exit_code())
    }

    pub(super) fn not_tried(self, why: impl Into<String>) -> Finding {
        Finding { outcome: Outcome::NotTried, ..self.ok(why) }
    }
}

impl Finding {
    pub(super) fn is_failure(&self) -> bool {
        self.outcome == Outcome::Failed
    }
}

impl Report {
    pub(super) fn new(findings: Vec<Finding>) -> Self {
        let exit_code = findings.iter().find(|finding| finding.is_failure()).map_or(0, |failure| failure.exit_code);
        Self { findings, exit_code }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_says_how_it_ended() {
        let (ok, warning) = (Check::Material.ok("there"), Check::Clock.warning("6 s", "set it"));
        let failed = |code| Check::Item.failed("denied", "permit it", code);
        assert_eq!(Report::new(vec![ok.clone(), warning.clone()]).exit_code, 0);
        assert_eq!(Report::new(vec![ok, failed(5), warning, failed(6)]).exit_code, 5);
    }

    #[test]
    fn a_finding_is_read_by_machines() {
        let finding = Check::Item.failed("policy does not allow: secret ops/root", "permit it", 5);
        let json = serde_json::to_value(&finding).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "check": "item", "outcome": "failed", "found": "policy does not allow: secret ops/root",
                "hint": "permit it", "exit_code": 5,
            })
        );
        assert_eq!(serde_json::to_value(Check::Item.not_tried("x")).unwrap()["outcome"], "not_tried");
    }
}
