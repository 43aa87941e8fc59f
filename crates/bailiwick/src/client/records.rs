//! Records of a server that have numbers and only grow: flows, and the entries of the audit log.

use anyhow::Context;
use serde_json::Value;

use super::Client;
use crate::output;

/// The most of a page.
const PAGE: u32 = 1000;

/// Which of the records are wanted.
#[derive(Debug)]
pub(crate) struct Records<'a> {
    /// Where they are.
    pub(crate) path: &'a [&'a str],
    /// What of them is wanted, as fields of the query.
    pub(crate) narrowed: &'a [(&'a str, String)],
    /// Only those after the one with this number.
    pub(crate) after: i64,
    /// At most so many.
    pub(crate) limit: u32,
}

impl Client {
    /// The wanted records, the oldest first. Whoever asked is told on standard error how to go on, if there are more.
    pub(crate) fn records(&self, wanted: &Records<'_>) -> anyhow::Result<Vec<Value>> {
        let (mut records, mut next) = (Vec::new(), Some(wanted.after));
        while let Some(after) = next {
            let left = wanted.limit.saturating_sub(u32::try_from(records.len())?);
            if left == 0 {
                output::print_to_stderr(&format!("there are more: --after {after}\n"));
                break;
            }
            let (after, limit) = (after.to_string(), left.min(PAGE).to_string());
            let mut query = vec![("after", after.as_str()), ("limit", limit.as_str())];
            query.extend(
                wanted
                    .narrowed
                    .iter()
                    .map(|(field, text)| (*field, text.as_str())),
            );
            let mut page = self.get(wanted.path, &query)?;
            let data = page.get_mut("data").and_then(Value::as_array_mut);
            records.append(data.context("the server's answer is no list of records")?);
            next = page["next_after"].as_i64();
        }
        Ok(records)
    }
}
