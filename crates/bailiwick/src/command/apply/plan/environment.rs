//! What has to be done with environments.

use std::collections::BTreeMap;

use bailiwick_wire::{Declared, DeclaredEnvironment};
use serde_json::{Map, Value, json};

use super::super::documents::Document;
use super::super::present::PresentEnvironment;
use super::{Item, Kind, Known, PlanProblem, Step, differing, made, mark, marked, metadata_patch};

pub(super) fn plan(known: &Known<'_>, problems: &mut Vec<PlanProblem>) -> Vec<Item> {
    let mut items = Vec::new();
    for document in known.asked.documents {
        let Declared::Environment(declared) = &document.declared else {
            continue;
        };
        match step(known, document, declared) {
            Ok(step) => items.push(Item {
                kind: Kind::Environment,
                name: document.name().to_owned(),
                step,
            }),
            Err(problem) => problems.push(problem),
        }
    }
    items
}

fn step(
    known: &Known<'_>,
    document: &Document,
    declared: &DeclaredEnvironment,
) -> Result<Step, PlanProblem> {
    let asked = known.asked;
    let Some(found) = known.environment(document.name()) else {
        let body = wanted_fields(declared, None, asked.set.map(str::to_owned));
        let changes = made(&body);
        return Ok(Step::Create {
            body: body
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .collect(),
            environment: None,
            changes,
        });
    };
    let (name, origin) = (document.name().to_owned(), document.origin.clone());
    let mark = match asked.mark_of(mark(&found.metadata)) {
        Ok(mark) => mark,
        Err(set) => {
            let kind = Kind::Environment;
            return Err(PlanProblem::OtherSet {
                kind,
                name,
                set,
                origin,
            });
        }
    };
    let before = present_fields(found);
    let after = wanted_fields(declared, Some(found), mark);
    let kind =
        |of: &Map<String, Value>| of["config"]["type"].as_str().unwrap_or_default().to_owned();
    if kind(&before) != kind(&after) {
        let (before, after) = (kind(&before), kind(&after));
        return Err(PlanProblem::OtherType {
            name,
            before,
            after,
            origin,
        });
    }
    let (fields, changes) = differing(&before, &after);
    let id = found.id.clone();
    if fields.is_empty() {
        return Ok(Step::Unchanged { id });
    }
    Ok(Step::Update {
        id,
        version: found.version,
        body: patch(&fields, &before, &after),
        placement: None,
        changes,
    })
}

/// What an environment is to have. What the wire has no word for stays unless the document says so.
fn wanted_fields(
    declared: &DeclaredEnvironment,
    present: Option<&PresentEnvironment>,
    mark: Option<String>,
) -> Map<String, Value> {
    let body = &declared.body;
    let mut metadata = marked(&body.metadata, mark);
    // An empty text takes a pair away, so there is none.
    metadata.retain(|_, value| !value.is_empty());
    let restricted = declared
        .restricted
        .or(present.map(|present| present.restricted));
    let namespace = match &declared.namespace {
        Some(said) => said.clone(),
        None => present.and_then(|present| present.namespace.clone()),
    };
    fields(
        body.name.as_str(),
        body.description.as_ref(),
        body.config_json(),
        &metadata,
        restricted.unwrap_or(false),
        namespace.as_ref(),
    )
}

fn present_fields(present: &PresentEnvironment) -> Map<String, Value> {
    let mut config = present.config.clone();
    if present.inherits_policy {
        config.remove("networking");
    }
    fields(
        &present.name,
        present.description.as_ref(),
        Value::Object(config),
        &present.metadata,
        present.restricted,
        present.namespace.as_ref(),
    )
}

fn fields(
    name: &str,
    description: Option<&String>,
    config: Value,
    metadata: &BTreeMap<String, String>,
    restricted: bool,
    namespace: Option<&String>,
) -> Map<String, Value> {
    let inherits = config["type"] == "cloud" && config.get("networking").is_none();
    let fields = [
        ("name", json!(name)),
        ("description", json!(description)),
        ("inherits_policy", json!(inherits)),
        ("config", config),
        ("metadata", json!(metadata)),
        ("restricted", json!(restricted)),
        ("namespace", json!(namespace)),
    ];
    let field = |(field, value): (&str, Value)| (field.to_owned(), value);
    fields.into_iter().map(field).collect()
}

/// The body of the request that makes one of the other. A server keeps what a change does not name, so what goes is named.
fn patch(
    fields: &[String],
    before: &Map<String, Value>,
    after: &Map<String, Value>,
) -> Map<String, Value> {
    let mut body = Map::new();
    for field in fields {
        let (before, after) = (&before[field], &after[field]);
        let value = match field.as_str() {
            "metadata" => metadata_patch(before, after),
            "config" => config_patch(before, after),
            _ => after.clone(),
        };
        body.insert(field.clone(), value);
    }
    body
}

fn config_patch(before: &Value, after: &Value) -> Value {
    let none = Map::new();
    let map = |value: &Value| value.as_object().cloned().unwrap_or_default();
    let (before, after) = (map(before), map(after));
    let mut config = after.clone();
    for part in ["networking", "packages"] {
        let before = before.get(part).and_then(Value::as_object).unwrap_or(&none);
        if let Some(Value::Object(after)) = config.get_mut(part) {
            let gone: Vec<_> = before
                .keys()
                .filter(|key| !after.contains_key(*key))
                .collect();
            after.extend(gone.into_iter().map(|key| (key.clone(), Value::Null)));
        }
    }
    // A policy is given up by `inherits_policy`.
    let gone = before
        .keys()
        .filter(|part| *part != "networking" && !after.contains_key(*part));
    config.extend(gone.map(|part| (part.clone(), Value::Null)));
    Value::Object(config)
}
