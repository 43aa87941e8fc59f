//! Revisions of environments: who changed what, when.

use bailiwick_model::{EnvironmentId, Permission};
use bailiwick_store::{EnvironmentRevision, Page, PageRequest};
use serde_json::{Map, Value, json};

use crate::caller::Caller;
use crate::control::Control;
use crate::environments::{KIND, corrupt};
use crate::error::ControlError;

/// What errors call one.
const REVISION: &str = "revision";

/// An environment at one of its revisions, and what the change was that made it.
#[derive(Debug, Clone, PartialEq)]
pub struct RevisionView {
    /// The revision.
    pub revision: EnvironmentRevision,
    /// What differs from the revision before, field by field; nothing in the first.
    pub changes: Vec<FieldChange>,
}

/// A field that changed.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldChange {
    /// Such as `config.networking.allowed_hosts`.
    pub field: String,
    /// What it was; null if it was not there.
    pub before: Value,
    /// What it became; null if it is not there any more.
    pub after: Value,
}

impl Control {
    /// Revisions of an environment, archived or not, the newest first.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn environment_revisions(
        &self,
        caller: &Caller,
        id: &EnvironmentId,
        page: &PageRequest<i64>,
    ) -> Result<Page<RevisionView, i64>, ControlError> {
        caller.require(Permission::EnvironmentRead)?;
        let scope = self.store.scope(&caller.organization);
        let (Page { items, next }, before) = scope.environment_revisions(id, page).await?;
        if items.is_empty() && scope.environment(id).await?.is_none() {
            return Err(ControlError::NotFound(KIND));
        }
        let older = items.iter().skip(1).chain(&before).map(Some);
        let older = older.chain(std::iter::repeat(None));
        let views = items
            .iter()
            .zip(older)
            .map(|(revision, before)| view(revision, before));
        Ok(Page {
            items: views.collect::<Result<_, _>>()?,
            next,
        })
    }

    /// One revision of an environment, archived or not.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn environment_revision(
        &self,
        caller: &Caller,
        id: &EnvironmentId,
        number: i64,
    ) -> Result<RevisionView, ControlError> {
        caller.require(Permission::EnvironmentRead)?;
        let upper = number
            .checked_add(1)
            .ok_or(ControlError::NotFound(REVISION))?;
        let page = PageRequest {
            before: Some(upper),
            limit: 1,
        };
        let found = self.environment_revisions(caller, id, &page).await?;
        let mut items = found.items.into_iter();
        let found = items.find(|view| view.revision.number == number);
        found.ok_or(ControlError::NotFound(REVISION))
    }
}

fn view(
    revision: &EnvironmentRevision,
    before: Option<&EnvironmentRevision>,
) -> Result<RevisionView, ControlError> {
    let mut changes = Vec::new();
    if let Some(before) = before {
        // What is not known of one of the two is no change.
        let both = before.rest.is_some() && revision.rest.is_some();
        compare(
            "",
            &known(before, both)?,
            &known(revision, both)?,
            &mut changes,
        );
    }
    Ok(RevisionView {
        revision: revision.clone(),
        changes,
    })
}

/// What is known of a revision, as answers show it.
fn known(revision: &EnvironmentRevision, whole: bool) -> Result<Map<String, Value>, ControlError> {
    let read =
        |text: &str, column| serde_json::from_str::<Value>(text).map_err(|_| corrupt(column));
    let mut known = Map::from_iter([("config".to_owned(), read(&revision.config, "config")?)]);
    if let Some(rest) = revision.rest.as_ref().filter(|_| whole) {
        known.insert("name".to_owned(), json!(rest.name));
        known.insert("description".to_owned(), json!(rest.description));
        known.insert("restricted".to_owned(), json!(rest.restricted));
        known.insert("namespace".to_owned(), json!(rest.namespace));
        known.insert("metadata".to_owned(), read(&rest.metadata, "metadata")?);
        known.insert("archived".to_owned(), json!(rest.archived));
    }
    Ok(known)
}

/// Objects are compared by their fields, everything else as a whole.
fn compare(
    path: &str,
    before: &Map<String, Value>,
    after: &Map<String, Value>,
    changes: &mut Vec<FieldChange>,
) {
    let new = after.keys().filter(|key| !before.contains_key(*key));
    for key in before.keys().chain(new) {
        let field = match path {
            "" => key.clone(),
            path => format!("{path}.{key}"),
        };
        match (before.get(key), after.get(key)) {
            (was, becomes) if was == becomes => {}
            (Some(Value::Object(was)), Some(Value::Object(becomes))) => {
                compare(&field, was, becomes, changes);
            }
            (was, becomes) => changes.push(FieldChange {
                field,
                before: was.cloned().unwrap_or_default(),
                after: becomes.cloned().unwrap_or_default(),
            }),
        }
    }
}
