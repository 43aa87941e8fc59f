//! What has to be done with LLM proxies and limits. What they refer to stands in a plan by its name, so that it may be made by the same plan.

use std::collections::HashSet;

use bailiwick_control::{dollars, nano_dollars};
use bailiwick_model::EnvironmentName;
use bailiwick_wire::{Declared, DeclaredLimit, DeclaredLlmProxy, LimitSubject};
use serde_json::{Map, Value, json};

use super::super::documents::Document;
use super::super::present::{Present, PresentLimit, PresentLlmProxy};
use super::referring::{create, environment_named, fields, mark, named_as, refers};
use super::{Item, Kind, Known, PlanProblem, Step, differing};
use crate::client::name_key;

pub(super) fn plan(known: &Known<'_>, problems: &mut Vec<PlanProblem>) -> Vec<Item> {
    let (mut proxies, mut limits) = (Vec::new(), Vec::new());
    for document in known.asked.documents {
        let (kind, items, step) = match &document.declared {
            Declared::LlmProxy(declared) => {
                let step = proxy(known, document, declared);
                (Kind::LlmProxy, &mut proxies, step)
            }
            Declared::Limit(declared) => {
                let step = limit(known, document, declared);
                (Kind::Limit, &mut limits, step)
            }
            Declared::Environment(_) | Declared::Agent(_) | Declared::KnowledgeConnector(_) => {
                continue;
            }
        };
        match step {
            Ok(step) => items.push(Item {
                kind,
                name: document.name().to_owned(),
                step,
            }),
            Err(problem) => problems.push(problem),
        }
    }
    proxies.extend(limits);
    proxies
}

/// What has the set's mark and was not declared: limits first, which may be for a proxy.
pub(super) fn pruned(
    present: &Present,
    set: &str,
    declared: &HashSet<(Kind, &str)>,
) -> std::vec::IntoIter<Item> {
    let is_gone =
        |kind, id: &str, mark: Option<&str>| mark == Some(set) && !declared.contains(&(kind, id));
    let prune = |kind, name: &str, id: &str, version| Item {
        kind,
        name: name.to_owned(),
        step: Step::Prune {
            id: id.to_owned(),
            version,
        },
    };
    let mut items = Vec::new();
    for one in &present.limits {
        if is_gone(Kind::Limit, &one.id, one.apply_set.as_deref()) {
            let name = one.name.as_deref().unwrap_or(&one.id);
            items.push(prune(Kind::Limit, name, &one.id, one.version));
        }
    }
    for one in &present.llm_proxies {
        if is_gone(Kind::LlmProxy, &one.id, one.apply_set.as_deref()) {
            items.push(prune(Kind::LlmProxy, &one.name, &one.id, one.version));
        }
    }
    items.into_iter()
}

fn proxy(
    known: &Known<'_>,
    document: &Document,
    declared: &DeclaredLlmProxy,
) -> Result<Step, PlanProblem> {
    let environment = declared.environment.as_str();
    refers(known, document, "environment", environment)?;
    let key = name_key(&declared.name);
    let found = known.asked.present.llm_proxies.iter();
    let found = found.clone().find(|one| name_key(&one.name) == key);
    let mark = mark(known, document, found.map(|one| one.apply_set.as_deref()))?;
    let after = fields([
        ("name", json!(declared.name)),
        ("environment", json!(named_as(known, environment))),
        ("models", json!(declared.models)),
        ("apply_set", json!(mark)),
    ]);
    let Some(found) = found else {
        return Ok(create(after));
    };
    let before = present_proxy(known, found);
    let (changed, changes) = differing(&before, &after);
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

fn present_proxy(known: &Known<'_>, found: &PresentLlmProxy) -> Map<String, Value> {
    fields([
        ("name", json!(found.name)),
        (
            "environment",
            json!(environment_named(known, &found.environment_id)),
        ),
        ("models", json!(found.models)),
        ("apply_set", json!(found.apply_set)),
    ])
}

fn limit(
    known: &Known<'_>,
    document: &Document,
    declared: &DeclaredLimit,
) -> Result<Step, PlanProblem> {
    let subject = match &declared.subject {
        LimitSubject::Organization => json!("organization"),
        LimitSubject::EachUser => json!("each_user"),
        LimitSubject::One(kind, name) => {
            refers(known, document, kind, name)?;
            let name = match *kind {
                "environment" => named_as(known, name),
                _ => name.clone(),
            };
            json!({ *kind: name })
        }
    };
    let place = declared.place.as_ref().map(EnvironmentName::as_str);
    if let Some(place) = place {
        refers(known, document, "environment", place)?;
    }
    let found = found(known, document)?;
    let mark = mark(known, document, found.map(|one| one.apply_set.as_deref()))?;
    let mut after = fields([
        ("name", json!(declared.name)),
        ("for", subject),
        ("in", json!(place.map(|place| named_as(known, place)))),
        ("max_cost_usd", Value::Null),
        ("max_tokens", Value::Null),
        ("apply_set", json!(mark)),
    ]);
    after.extend(declared.rest.clone());
    if let Some(nanos) = after["max_cost_usd"].as_str().and_then(nano_dollars) {
        after.insert("max_cost_usd".to_owned(), dollars(nanos).into());
    }
    let Some(found) = found else {
        return Ok(create(after));
    };
    let (changed, changes) = differing(&present_limit(known, found), &after);
    let id = found.id.clone();
    if changed.is_empty() {
        return Ok(Step::Unchanged { id });
    }
    // A limit is replaced as a whole.
    Ok(Step::Update {
        id,
        version: found.version,
        body: after,
        placement: None,
        changes,
    })
}

/// The limit that a document means: the one of its name, of several the set's.
fn found<'a>(
    known: &Known<'a>,
    document: &Document,
) -> Result<Option<&'a PresentLimit>, PlanProblem> {
    let set = known.asked.set;
    let all = known.asked.present.limits.iter();
    let named: Vec<_> = all
        .filter(|one| one.name.as_deref() == Some(document.name()))
        .collect();
    let is_own = |one: &&&PresentLimit| set.is_some() && one.apply_set.as_deref() == set;
    let own: Vec<_> = named.iter().filter(is_own).copied().collect();
    match (own.as_slice(), named.as_slice()) {
        ([only], _) | ([], [only]) => Ok(Some(only)),
        ([], []) => Ok(None),
        ([], several) | (several, _) => Err(PlanProblem::Several {
            kind: Kind::Limit,
            name: document.name().to_owned(),
            ids: several.iter().map(|one| one.id.clone()).collect(),
            origin: document.origin.clone(),
        }),
    }
}

fn present_limit(known: &Known<'_>, found: &PresentLimit) -> Map<String, Value> {
    let present = known.asked.present;
    let id = found.entity.id.as_deref().unwrap_or_default();
    let kind = found.entity.kind.as_str();
    let name = match kind {
        "environment" => Some(environment_named(known, id)),
        "agent" => {
            let mut all = present.agents.iter();
            let agent = all.find(|one| one.id.to_string() == id);
            agent.map(|one| one.name.clone())
        }
        "llm_proxy" => {
            let mut all = present.llm_proxies.iter();
            all.find(|one| one.id == id).map(|one| one.name.clone())
        }
        "team" => {
            let mut all = present.teams.iter();
            all.find(|one| one.id == id).map(|one| one.name.clone())
        }
        "user" => {
            let mut all = present.members.iter();
            let member = all.find(|one| one.user_id == id);
            member.map(|one| one.email.clone())
        }
        _ => None,
    };
    let subject = match &found.entity.id {
        Some(_) => json!({ kind: name.unwrap_or_else(|| id.to_owned()) }),
        None => json!(kind),
    };
    let place = found.environment_id.as_deref();
    fields([
        ("name", json!(found.name)),
        ("for", subject),
        ("in", json!(place.map(|id| environment_named(known, id)))),
        ("max_cost_usd", json!(found.max_cost_usd)),
        ("max_tokens", json!(found.max_tokens)),
        ("apply_set", json!(found.apply_set)),
        ("window", json!(found.window)),
        ("enforcement", json!(found.enforcement)),
        ("models", json!(found.models)),
        ("thresholds", json!(found.thresholds)),
    ])
}
