//! What has to be done with knowledge connectors.

use std::collections::HashSet;

use bailiwick_control::{KnowledgeCredential, KnowledgeSchedule, KnowledgeSource};
use bailiwick_wire::{Declared, DeclaredKnowledgeConnector};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::super::documents::Document;
use super::super::present::{Present, PresentKnowledgeConnector};
use super::referring::{create, environment_named, fields, mark, named_as, refers};
use super::{Item, Kind, Known, PlanProblem, Step, differing};
use crate::client::name_key;

pub(super) fn plan(known: &Known<'_>, problems: &mut Vec<PlanProblem>) -> Vec<Item> {
    let mut items = Vec::new();
    for document in known.asked.documents {
        let step = match &document.declared {
            Declared::KnowledgeConnector(declared) => connector(known, document, declared),
            Declared::Environment(_)
            | Declared::Agent(_)
            | Declared::LlmProxy(_)
            | Declared::Limit(_) => continue,
        };
        match step {
            Ok(step) => items.push(Item {
                kind: Kind::KnowledgeConnector,
                name: document.name().to_owned(),
                step,
            }),
            Err(problem) => problems.push(problem),
        }
    }
    items
}

/// What has the set's mark and was not declared.
pub(super) fn pruned(
    present: &Present,
    set: &str,
    declared: &HashSet<(Kind, &str)>,
) -> std::vec::IntoIter<Item> {
    let kind = Kind::KnowledgeConnector;
    let is_gone = |one: &&PresentKnowledgeConnector| {
        one.apply_set.as_deref() == Some(set) && !declared.contains(&(kind, one.id.as_str()))
    };
    let prune = |one: &PresentKnowledgeConnector| Item {
        kind,
        name: one.name.clone(),
        step: Step::Prune {
            id: one.id.clone(),
            version: one.version,
        },
    };
    let items: Vec<_> = present
        .knowledge
        .iter()
        .filter(is_gone)
        .map(prune)
        .collect();
    items.into_iter()
}

fn connector(
    known: &Known<'_>,
    document: &Document,
    declared: &DeclaredKnowledgeConnector,
) -> Result<Step, PlanProblem> {
    let environment = declared.environment.as_str();
    refers(known, document, "environment", environment)?;
    let key = name_key(&declared.name);
    let mut all = known.asked.present.knowledge.iter();
    let found = all.find(|one| name_key(&one.name) == key);
    let mark = mark(known, document, found.map(|one| one.apply_set.as_deref()))?;
    let whole = |field, object: &Map<String, Value>| (field, Value::Object(object.clone()));
    let source = as_shown::<KnowledgeSource>(document, whole("source", &declared.source))?;
    let credential = declared.credential.as_ref();
    let credential = credential.map(|object| whole("credential", object));
    let credential = credential.map(|field| as_shown::<KnowledgeCredential>(document, field));
    let schedule = declared.schedule.as_ref();
    let schedule = schedule.map(|object| whole("schedule", object));
    let schedule = schedule.map(|field| as_shown::<KnowledgeSchedule>(document, field));
    let after = fields([
        ("name", json!(declared.name)),
        ("environment", json!(named_as(known, environment))),
        ("source", source),
        ("credential", json!(credential.transpose()?)),
        ("schedule", json!(schedule.transpose()?)),
        ("apply_set", json!(mark)),
    ]);
    let Some(found) = found else {
        return Ok(create(after));
    };
    let (changed, changes) = differing(&present_connector(known, found), &after);
    let id = found.id.clone();
    if changed.is_empty() {
        return Ok(Step::Unchanged { id });
    }
    let body = after
        .into_iter()
        .filter(|(field, _)| changed.contains(field));
    Ok(Step::Update {
        id,
        version: found.version,
        body: body.collect(),
        placement: None,
        changes,
    })
}

/// What was written, with what it leaves out, as the server shows it.
fn as_shown<T: DeserializeOwned + Serialize>(
    document: &Document,
    (field, written): (&'static str, Value),
) -> Result<Value, PlanProblem> {
    let read = serde_json::from_value::<T>(written);
    let shown = read.and_then(|read| serde_json::to_value(&read));
    shown.map_err(|error| PlanProblem::NotTaken {
        kind: document.kind(),
        name: document.name().to_owned(),
        field,
        why: error.to_string(),
        origin: document.origin.clone(),
    })
}

fn present_connector(known: &Known<'_>, found: &PresentKnowledgeConnector) -> Map<String, Value> {
    let environment = environment_named(known, &found.environment_id);
    fields([
        ("name", json!(found.name)),
        ("environment", json!(environment)),
        ("source", found.source.clone()),
        ("credential", json!(found.credential)),
        ("schedule", json!(found.schedule)),
        ("apply_set", json!(found.apply_set)),
    ])
}
