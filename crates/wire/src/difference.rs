//! What a change of policy does, as JSON has it.

use bailiwick_policy::{Difference, DifferenceRow};
use serde::Serialize;

/// What became reachable and what stopped being so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DifferenceReport {
    /// The modes, where they differ.
    pub mode: Option<ModeChange>,
    /// What became reachable.
    pub opened: Vec<DifferenceLine>,
    /// What stopped being reachable.
    pub closed: Vec<DifferenceLine>,
}

/// The modes before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModeChange {
    /// `limited` or `unrestricted`.
    pub before: String,
    /// `limited` or `unrestricted`.
    pub after: String,
}

/// Destinations whose verdict changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DifferenceLine {
    /// As a rule would name them.
    pub destination: String,
    /// The code of the reason before.
    pub before: &'static str,
    /// The code of the reason now.
    pub after: &'static str,
    /// The rule that opens or closes them now, where it is a rule.
    pub rule: Option<String>,
}

impl From<&Difference> for DifferenceReport {
    fn from(difference: &Difference) -> Self {
        let lines = |rows: &[DifferenceRow]| rows.iter().map(DifferenceLine::from).collect();
        Self {
            mode: difference.mode.map(|(before, after)| ModeChange {
                before: before.to_string(),
                after: after.to_string(),
            }),
            opened: lines(&difference.opened),
            closed: lines(&difference.closed),
        }
    }
}

impl From<&DifferenceRow> for DifferenceLine {
    fn from(row: &DifferenceRow) -> Self {
        Self {
            destination: row.to_string(),
            before: row.before.code(),
            after: row.after.code(),
            rule: row.rule.clone(),
        }
    }
}
