//! Vaults as requests carry them.

use std::collections::BTreeMap;

use bailiwick_model::limits::DISPLAY_NAME_CHARS;
use serde_json::{Map, Value};

use crate::credential::fields::{bounded, required};
use crate::json::{Body, FieldProblem};
use crate::shape::Reader;
use crate::validate;

/// What a body says of a vault, or what becomes of a stored vault that one changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultBody {
    /// What people call it: 1 to 255 characters.
    pub display_name: String,
    /// Free pairs; no key has a reserved prefix.
    pub metadata: BTreeMap<String, String>,
}

impl VaultBody {
    /// Reads the body that makes a vault.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, each with its field.
    pub fn create(body: &Map<String, Value>) -> Result<Self, Vec<FieldProblem>> {
        let body = Body::of(body).map_err(|problem| vec![problem])?;
        let mut problems = Vec::new();
        let read =
            Reader::new(&mut problems).map(body.root.clone(), "a vault", |reader, fields| {
                let name = reader.field(fields, "display_name", bounded(1, DISPLAY_NAME_CHARS));
                let name = required(reader, name, "a vault", "display_name", 0);
                let metadata = reader.field(fields, "metadata", Reader::pairs);
                (name, metadata)
            });
        let read = read.and_then(|(name, metadata)| {
            let metadata = validate::metadata(metadata, &mut problems);
            Some(Self {
                display_name: name?.value,
                metadata,
            })
        });
        read.filter(|_| problems.is_empty())
            .ok_or_else(|| problems.iter().map(|problem| body.told(problem)).collect())
    }

    /// Reads the body that changes a vault: what is absent or null stays, and a pair that is null goes.
    ///
    /// # Errors
    ///
    /// As [`Self::create`]; the fields are those of the whole vault after the change.
    pub fn update(&self, body: &Map<String, Value>) -> Result<Self, Vec<FieldProblem>> {
        let mut whole = body.clone();
        if whole.get("display_name").is_none_or(Value::is_null) {
            let name = Value::String(self.display_name.clone());
            whole.insert("display_name".to_owned(), name);
        }
        merge_metadata(&mut whole, &self.metadata);
        Self::create(&whole)
    }
}

/// Puts what becomes of stored pairs in the place of their patch: a text sets, null removes.
pub(crate) fn merge_metadata(body: &mut Map<String, Value>, stored: &BTreeMap<String, String>) {
    let mut merged: Map<String, Value> = stored
        .iter()
        .map(|(key, value)| (key.clone(), value.clone().into()))
        .collect();
    match body.remove("metadata") {
        Some(Value::Object(patch)) => {
            for (key, value) in patch {
                if value.is_null() {
                    merged.remove(&key);
                } else {
                    merged.insert(key, value);
                }
            }
        }
        Some(Value::Null) | None => {}
        Some(other @ (Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_))) => {
            body.insert("metadata".to_owned(), other);
            return;
        }
    }
    body.insert("metadata".to_owned(), Value::Object(merged));
}
