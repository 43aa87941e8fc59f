//! What a plan has by names, for what has an `apply_set` instead of metadata.

use serde_json::{Map, Value};

use super::super::documents::Document;
use super::super::present::PresentLlmProxy;
use super::{Kind, Known, PlanProblem, Step, made};
use crate::client::name_key;

/// The set that something is to belong to that belongs to this one now, if it is there.
pub(super) fn mark(
    known: &Known<'_>,
    document: &Document,
    now: Option<Option<&str>>,
) -> Result<Option<String>, PlanProblem> {
    let Some(now) = now else {
        return Ok(known.asked.set.map(str::to_owned));
    };
    known
        .asked
        .mark_of(now)
        .map_err(|set| PlanProblem::OtherSet {
            kind: document.kind(),
            name: document.name().to_owned(),
            set,
            origin: document.origin.clone(),
        })
}

/// Making something of what is not nothing.
pub(super) fn create(body: Map<String, Value>) -> Step {
    let body: Map<_, _> = body
        .into_iter()
        .filter(|(_, value)| !value.is_null())
        .collect();
    let changes = made(&body);
    Step::Create {
        body,
        environment: None,
        changes,
    }
}

/// Whether what is named is declared, or there to stay.
pub(super) fn refers(
    known: &Known<'_>,
    document: &Document,
    what: &'static str,
    name: &str,
) -> Result<(), PlanProblem> {
    let (asked, present) = (known.asked, known.asked.present);
    let declares = |kind| {
        let mut all = asked.documents.iter();
        all.any(|other| other.kind() == kind && name_key(other.name()) == name_key(name))
    };
    let stays = |mark: Option<&str>| !asked.prune || mark != asked.set;
    let is_there = match what {
        "environment" => {
            let found = known.environment(name);
            known.declares(name) || found.is_some_and(|one| stays(super::mark(&one.metadata)))
        }
        "agent" => {
            let mut found = known.agents(name).iter();
            declares(Kind::Agent) || found.any(|one| stays(super::mark(&one.metadata)))
        }
        "llm_proxy" => {
            let mut found = present.llm_proxies.iter();
            let is_it = |one: &PresentLlmProxy| {
                name_key(&one.name) == name_key(name) && stays(one.apply_set.as_deref())
            };
            declares(Kind::LlmProxy) || found.any(is_it)
        }
        "team" => present
            .teams
            .iter()
            .any(|one| name_key(&one.name) == name_key(name)),
        _ => present
            .members
            .iter()
            .any(|one| name_key(&one.email) == name_key(name)),
    };
    if is_there {
        return Ok(());
    }
    Err(PlanProblem::NoSuch {
        kind: document.kind(),
        name: document.name().to_owned(),
        what,
        reference: name.to_owned(),
        origin: document.origin.clone(),
    })
}

/// An environment as the server calls it, where it has it.
pub(super) fn named_as(known: &Known<'_>, name: &str) -> String {
    let found = known.environment(name);
    found.map_or_else(|| name.to_owned(), |one| one.name.clone())
}

/// What the server calls the environment with this id.
pub(super) fn environment_named(known: &Known<'_>, id: &str) -> String {
    let mut all = known.asked.present.environments.iter();
    let found = all.find(|one| one.id == id);
    found.map_or_else(|| id.to_owned(), |one| one.name.clone())
}

/// An object of these fields.
pub(super) fn fields<const N: usize>(fields: [(&str, Value); N]) -> Map<String, Value> {
    let field = |(field, value): (&str, Value)| (field.to_owned(), value);
    fields.into_iter().map(field).collect()
}
