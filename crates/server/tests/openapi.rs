//! The document of the API holds together, and the one that is checked in is the code's.

use std::collections::BTreeSet;

use serde_json::Value;

#[test]
fn the_document_that_is_checked_in_is_the_code_s() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    let kept = std::fs::read_to_string(file).unwrap_or_default();
    let now = format!("{:#}\n", bailiwick_server::openapi());
    assert!(
        kept == now,
        "docs/openapi.json is stale: run `cargo xtask generate`"
    );
}

/// Every value below `value` of this field.
fn all<'v>(value: &'v Value, field: &str, found: &mut Vec<&'v Value>) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        Value::Array(items) => items.iter().for_each(|item| all(item, field, found)),
        Value::Object(map) => {
            for (key, value) in map {
                if key == field {
                    found.push(value);
                }
                all(value, field, found);
            }
        }
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_component_is_referred_to() {
    let document = bailiwick_server::openapi();
    let mut found = Vec::new();
    all(&document, "$ref", &mut found);
    let references: BTreeSet<_> = found.iter().filter_map(|one| one.as_str()).collect();
    for reference in &references {
        let pointer = reference.strip_prefix('#').expect("of this document");
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    for kind in ["schemas", "responses", "headers"] {
        for name in document["components"][kind].as_object().unwrap().keys() {
            let reference = format!("#/components/{kind}/{name}");
            assert!(references.contains(reference.as_str()), "{reference}");
        }
    }
}

#[test]
fn every_operation_has_an_id_of_its_own_and_a_sentence() {
    let document = bailiwick_server::openapi();
    let mut ids = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id), "{id} is there twice");
            let summary = operation["summary"].as_str().unwrap();
            assert!(summary.ends_with('.'), "{method} {path}: {summary:?}");
        }
    }
    assert!(ids.len() > 60, "{}", ids.len());
}

#[test]
fn every_link_leads_to_an_operation() {
    let document = bailiwick_server::openapi();
    let (mut links, mut ids) = (Vec::new(), Vec::new());
    all(&document, "links", &mut links);
    all(&document["paths"], "operationId", &mut ids);
    let ids: BTreeSet<_> = ids.iter().filter_map(|id| id.as_str()).collect();
    assert!(!links.is_empty());
    for link in links
        .iter()
        .flat_map(|links| links.as_object().unwrap().keys())
    {
        assert!(ids.contains(link.as_str()), "{link}");
    }
}
