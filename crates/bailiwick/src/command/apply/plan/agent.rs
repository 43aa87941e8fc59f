//! What has to be done with agents.

use bailiwick_wire::{AgentBody, Declared, DeclaredAgent, Own};
use serde_json::{Map, Value};

use super::super::difference::Change;
use super::super::documents::Document;
use super::super::present::PresentAgent;
use super::{
    Asked, Item, Kind, Known, Placement, PlanProblem, Step, differing, made, mark, marked,
    metadata_patch,
};

pub(super) fn plan(known: &Known<'_>, problems: &mut Vec<PlanProblem>) -> Vec<Item> {
    let mut items = Vec::new();
    for document in known.asked.documents {
        let Declared::Agent(declared) = &document.declared else {
            continue;
        };
        match step(known, document, declared) {
            Ok(step) => items.push(Item {
                kind: Kind::Agent,
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
    declared: &DeclaredAgent,
) -> Result<Step, PlanProblem> {
    let place = place(known, document, declared)?;
    let Some(found) = found(known, document)? else {
        return Ok(create(known.asked, declared, place));
    };
    let mark = match known.asked.mark_of(mark(&found.metadata)) {
        Ok(mark) => mark,
        Err(set) => {
            let (name, origin) = (document.name().to_owned(), document.origin.clone());
            let kind = Kind::Agent;
            return Err(PlanProblem::OtherSet {
                kind,
                name,
                set,
                origin,
            });
        }
    };
    let body = AgentBody {
        metadata: marked(&declared.body.metadata, mark),
        ..declared.body.clone()
    };
    let Some(stored) = found.body() else {
        let (name, origin) = (document.name().to_owned(), document.origin.clone());
        return Err(PlanProblem::NotUnderstood { name, origin });
    };
    let (fields, mut changes) = changed(&body, &stored, found);
    let placement = place.and_then(|wanted| moved(known, found, wanted, &mut changes));
    let id = found.id.to_string();
    if fields.is_empty() && placement.is_none() {
        return Ok(Step::Unchanged { id });
    }
    Ok(Step::Update {
        id,
        version: found.version,
        body: fields,
        placement,
        changes,
    })
}

/// The agent that a document means: the one of its name, of several the set's.
fn found<'a>(
    known: &Known<'a>,
    document: &Document,
) -> Result<Option<&'a PresentAgent>, PlanProblem> {
    let (named, set) = (known.agents(document.name()), known.asked.set);
    let is_own = |agent: &&&PresentAgent| set.is_some() && mark(&agent.metadata) == set;
    let own: Vec<_> = named.iter().filter(is_own).copied().collect();
    match (own.as_slice(), named) {
        ([only], _) | ([], [only]) => Ok(Some(only)),
        ([], []) => Ok(None),
        ([], several) | (several, _) => Err(PlanProblem::Several {
            kind: Kind::Agent,
            name: document.name().to_owned(),
            ids: several.iter().map(|agent| agent.id.to_string()).collect(),
            origin: document.origin.clone(),
        }),
    }
}

fn create(asked: &Asked<'_>, declared: &DeclaredAgent, place: Option<Option<String>>) -> Step {
    let body = AgentBody {
        metadata: marked(&declared.body.metadata, asked.set.map(str::to_owned)),
        ..declared.body.clone()
    };
    let body = body.to_request();
    let mut changes = made(&body);
    let environment = place.flatten();
    changes.extend(environment.as_ref().map(|name| Change {
        path: "environment".to_owned(),
        before: None,
        after: Some(name.clone().into()),
    }));
    Step::Create {
        body: body
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .collect(),
        environment,
        changes,
    }
}

/// What of an agent has to be changed, as the body of a request, and how that differs from what is stored.
fn changed(
    wanted: &AgentBody,
    stored: &AgentBody,
    found: &PresentAgent,
) -> (Map<String, Value>, Vec<Change>) {
    let own = Own {
        id: &found.id,
        version: found.version,
    };
    let before = stored.to_request();
    let (fields, changes) = differing(&before, &wanted.pinned_as(stored, own).to_request());
    // Versions that are not named are the newest ones, so they are not named here.
    let mut after = wanted.to_request();
    let value = |field: String| {
        let value = after.remove(&field).unwrap_or_default();
        let value = match field.as_str() {
            "metadata" => metadata_patch(&before[&field], &value),
            _ => value,
        };
        (field, value)
    };
    (fields.into_iter().map(value).collect(), changes)
}

/// The name of the environment that a document places its agent in, if it says so, as the environment is called.
fn place(
    known: &Known<'_>,
    document: &Document,
    declared: &DeclaredAgent,
) -> Result<Option<Option<String>>, PlanProblem> {
    let Some(Some(name)) = &declared.environment else {
        return Ok(declared.environment.as_ref().map(|_| None));
    };
    let (agent, environment) = (document.name().to_owned(), name.to_string());
    let origin = document.origin.clone();
    if known.declares(&environment) {
        return Ok(Some(Some(environment)));
    }
    match known.environment(&environment) {
        None => Err(PlanProblem::NoEnvironment {
            agent,
            environment,
            origin,
        }),
        Some(found) if known.asked.prune && mark(&found.metadata) == known.asked.set => {
            Err(PlanProblem::PrunedEnvironment {
                agent,
                environment,
                origin,
            })
        }
        Some(_) => Ok(Some(Some(environment))),
    }
}

/// The move that has to be made, if any.
fn moved(
    known: &Known<'_>,
    found: &PresentAgent,
    wanted: Option<String>,
    changes: &mut Vec<Change>,
) -> Option<Placement> {
    let there = wanted.as_deref().and_then(|name| known.environment(name));
    let is_there = match (&found.environment_id, &wanted) {
        (None, None) => true,
        (Some(id), Some(_)) => there.is_some_and(|there| there.id == *id),
        (None, Some(_)) | (Some(_), None) => false,
    };
    if is_there {
        return None;
    }
    let before = found.environment_id.as_ref().map(|id| {
        let mut all = known.asked.present.environments.iter();
        let name = all.find(|environment| environment.id == *id);
        Value::from(name.map_or(id.as_str(), |environment| &environment.name))
    });
    changes.push(Change {
        path: "environment".to_owned(),
        before,
        after: wanted.clone().map(Value::from),
    });
    Some(Placement {
        environment: wanted,
        revision: found.revision,
    })
}
