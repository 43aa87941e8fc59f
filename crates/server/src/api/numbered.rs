//! Pages of what is numbered from 1 on, the oldest first: after which number, and how many.

use bailiwick_wire::Schema;

use crate::failure::Failure;
use crate::operation::Operation;

/// Rows of a page where nobody says how many.
const USUAL: u32 = 100;
/// The most of a page.
const MOST: u32 = 1000;

/// What is asked for.
pub(super) struct Page {
    pub(super) after: i64,
    limit: u32,
}

impl Page {
    /// Reads the parameters `after` and `limit`; `what` has the numbers, with its article.
    pub(super) fn of(after: i64, limit: Option<u32>, what: &str) -> Result<Self, Failure> {
        let limit = limit.unwrap_or(USUAL);
        if !(1..=MOST).contains(&limit) {
            return Err(Failure::Parameter {
                field: "limit",
                message: format!("is a number from 1 to {MOST}"),
            });
        }
        if after < 0 {
            return Err(Failure::Parameter {
                field: "after",
                message: format!("is the number of {what}"),
            });
        }
        Ok(Self { after, limit })
    }

    /// How many rows are to be read: one more says whether there are more.
    pub(super) fn wanted(&self) -> u32 {
        self.limit + 1
    }

    /// Takes away what is beyond the page, and says what the next one comes after, if there is one.
    pub(super) fn cut<T>(&self, rows: &mut Vec<T>, number: impl Fn(&T) -> i64) -> Option<i64> {
        let more = rows.len() > self.limit as usize;
        rows.truncate(self.limit as usize);
        rows.last().filter(|_| more).map(number)
    }

    /// Describes the parameters; `after` says what is left out.
    pub(super) fn describe(operation: Operation, after: &'static str) -> Operation {
        let limit = Schema::number(1..=i64::from(MOST)).otherwise(USUAL.into());
        let from = Schema::number(0..=i64::MAX).otherwise(0.into());
        operation
            .query("limit", limit)
            .query("after", from.says(after))
    }
}
