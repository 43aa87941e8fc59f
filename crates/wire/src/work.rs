//! Items of work queues as requests carry them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::agent::pairs;
use crate::json::FieldProblem;
use crate::request::Reader;
use crate::vault::merge_metadata;

/// Reads the body that changes the pairs of an item: a text sets, null removes. What is wrong is one problem, which names each pair.
///
/// # Errors
///
/// `invalid_metadata` for pairs, else what is wrong with the body.
pub fn work_metadata(
    stored: &BTreeMap<String, String>,
    body: &Map<String, Value>,
) -> Result<BTreeMap<String, String>, Vec<FieldProblem>> {
    let mut whole = body.clone();
    merge_metadata(&mut whole, stored);
    let mut reader = Reader::default();
    let read = reader.body(&whole, |reader, fields| {
        let place = fields.required(reader, "metadata")?;
        pairs(reader, &place)
    });
    reader.end(read).map_err(|problems| {
        let is_pair = |problem: &FieldProblem| problem.field.starts_with("metadata");
        if !problems.iter().all(is_pair) {
            return problems;
        }
        let told: Vec<_> = problems.iter().map(ToString::to_string).collect();
        vec![FieldProblem {
            field: "metadata".to_owned(),
            code: "invalid_metadata",
            message: told.join("; "),
            help: "change these pairs".to_owned(),
        }]
    })
}
