//! A limit that a request would exceed, in words.

use std::fmt;

use bailiwick_model::{EnvironmentId, LimitAmount, LimitEntity, LimitId, LimitWindow};
use jiff::Timestamp;

use super::amount::Amount;

/// A hard limit that a request would exceed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitReached {
    /// Which.
    pub limit: LimitId,
    /// Whose spending it holds down.
    pub entity: LimitEntity,
    /// Where it counts, if not everywhere.
    pub environment: Option<EnvironmentId>,
    /// How much it is.
    pub amount: LimitAmount,
    /// In which time.
    pub window: LimitWindow,
    /// What is left of it, in its unit: what is being spent by requests that have not ended is not.
    pub left: i64,
    /// What the request could take, in its unit.
    pub needed: i64,
    /// When all of it is there again, if that is at once.
    pub resets_at: Option<Timestamp>,
}

impl LimitReached {
    /// What the limit is called: it, how much it is in which time, and for whom.
    pub fn name(&self) -> String {
        let mut name = format!(
            "{} of {} in {} for {}",
            self.limit,
            Amount(self.amount),
            words(self.window),
            self.entity.kind().replace('_', " ")
        );
        if let Some(id) = self.entity.id() {
            name.push(' ');
            name.push_str(id);
        }
        if let Some(environment) = &self.environment {
            name.push_str(" in the environment ");
            name.push_str(&environment.to_string());
        }
        name
    }
}

impl fmt::Display for LimitReached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |number| match self.amount {
            LimitAmount::CostNanos(_) => Amount(LimitAmount::CostNanos(number)),
            LimitAmount::Tokens(_) => Amount(LimitAmount::Tokens(number)),
        };
        write!(f, "the limit {}", self.name())?;
        write!(
            f,
            " has {} left, and this could take {}",
            of(self.left.max(0)),
            of(self.needed)
        )?;
        match self.resets_at {
            Some(at) => write!(f, "; it begins anew at {at}"),
            None => Ok(()),
        }
    }
}

fn words(window: LimitWindow) -> String {
    match window {
        LimitWindow::Rolling(_) => format!("any {window}"),
        LimitWindow::Calendar(_) => format!("a {}", window.as_str().replace('_', " ")),
    }
}
