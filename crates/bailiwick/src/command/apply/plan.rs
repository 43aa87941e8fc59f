//! What has to be done so that a server has what documents declare. Nothing is asked and nothing is done here.

mod agent;
mod environment;
mod knowledge;
mod referring;
mod spending;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use bailiwick_model::ResourceId as _;
use serde_json::{Map, Value};

use super::difference::{Change, difference};
use super::documents::{Document, Origin};
use super::present::{Present, PresentAgent, PresentEnvironment};
use crate::client::name_key;

/// The key of metadata whose value is the set that made something.
pub(super) const MARK: &str = "apply-set";

/// What a plan is made of.
pub(super) struct Asked<'a> {
    pub(super) documents: &'a [Document],
    pub(super) present: &'a Present,
    /// The set that what is made belongs to.
    pub(super) set: Option<&'a str>,
    /// Whether what the set made and nobody declares any more is archived.
    pub(super) prune: bool,
    /// Whether what belongs to another set, or to none, comes to this one.
    pub(super) take_over: bool,
}

/// What has to be done, in this order: environments, agents, LLM proxies, limits, knowledge connectors, and last what goes, in the other order.
#[derive(Debug, PartialEq)]
pub(super) struct Plan {
    pub(super) items: Vec<Item>,
}

/// One thing, and what has to be done with it.
#[derive(Debug, PartialEq)]
pub(super) struct Item {
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) step: Step,
}

/// What a thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Environment,
    Agent,
    LlmProxy,
    Limit,
    KnowledgeConnector,
}

/// What has to be done with a thing.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    /// It is made.
    Create {
        body: Map<String, Value>,
        /// Of an agent that is placed: the environment's name.
        environment: Option<String>,
        changes: Vec<Change>,
    },
    /// It is changed, if it still is at this version.
    Update {
        id: String,
        version: i64,
        /// Empty if only the place of an agent is changed.
        body: Map<String, Value>,
        placement: Option<Placement>,
        changes: Vec<Change>,
    },
    /// It is as declared.
    Unchanged { id: String },
    /// It is archived, or deleted, if it still is at this version, and the set's.
    Prune { id: String, version: i64 },
}

/// Where an agent comes to, if it still is at this revision; without an environment its place is left to its sessions.
#[derive(Debug, PartialEq)]
pub(super) struct Placement {
    pub(super) environment: Option<String>,
    pub(super) revision: i64,
}

/// Why what is declared cannot be done.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(super) enum PlanProblem {
    #[error(
        "{origin}: {kind} {name:?} belongs to the set {set:?}: apply it there, or take it over with --set and --take-over"
    )]
    OtherSet {
        kind: Kind,
        name: String,
        set: String,
        origin: Origin,
    },
    #[error("{origin}: {kind} {name:?} may be any of {}: {} or rename all but one", .ids.join(", "), .kind.taking_away())]
    Several {
        kind: Kind,
        name: String,
        ids: Vec<String>,
        origin: Origin,
    },
    #[error(
        "{origin}: agent {name:?} on the server has what this version of `bailiwick` does not know: use a newer one"
    )]
    NotUnderstood { name: String, origin: Origin },
    #[error(
        "{origin}: agent {agent:?} is placed in the environment {environment:?}, which is neither declared nor on the server"
    )]
    NoEnvironment {
        agent: String,
        environment: String,
        origin: Origin,
    },
    #[error(
        "{origin}: agent {agent:?} is placed in the environment {environment:?}, which is not declared any more and would be archived by --prune"
    )]
    PrunedEnvironment {
        agent: String,
        environment: String,
        origin: Origin,
    },
    #[error(
        "{origin}: {kind} {name:?} names the {what} {reference:?}, which is neither declared nor on the server, or would be taken away by --prune"
    )]
    NoSuch {
        kind: Kind,
        name: String,
        /// What is named, in a word.
        what: &'static str,
        reference: String,
        origin: Origin,
    },
    #[error("{origin}: {field} of {kind} {name:?} cannot be used: {why}")]
    NotTaken {
        kind: Kind,
        name: String,
        field: &'static str,
        why: String,
        origin: Origin,
    },
    #[error(
        "{origin}: environment {name:?} is of type {before:?} on the server, which cannot become {after:?}: archive it first, or choose another name"
    )]
    OtherType {
        name: String,
        before: String,
        after: String,
        origin: Origin,
    },
}

impl Kind {
    /// The word for it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::Agent => "agent",
            Self::LlmProxy => "LLM proxy",
            Self::Limit => "limit",
            Self::KnowledgeConnector => "knowledge connector",
        }
    }
}

impl Kind {
    /// What is done with one that is too much.
    fn taking_away(self) -> &'static str {
        match self {
            Self::Environment | Self::Agent => "archive",
            Self::LlmProxy | Self::Limit | Self::KnowledgeConnector => "delete",
        }
    }

    /// What becomes of one that nobody declares any more.
    pub(super) fn taken_away(self) -> &'static str {
        match self {
            Self::Environment | Self::Agent => "archived",
            Self::LlmProxy | Self::Limit | Self::KnowledgeConnector => "deleted",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl Plan {
    /// Whether everything is as declared.
    pub(super) fn has_nothing_to_do(&self) -> bool {
        let is_unchanged = |item: &Item| matches!(item.step, Step::Unchanged { .. });
        self.items.iter().all(is_unchanged)
    }
}

/// Makes the plan.
///
/// # Errors
///
/// Everything for which there can be none.
pub(super) fn plan(asked: &Asked<'_>) -> Result<Plan, Vec<PlanProblem>> {
    let mut problems = Vec::new();
    let known = Known::of(asked);
    let mut items = environment::plan(&known, &mut problems);
    let agents = agent::plan(&known, &mut problems);
    items.extend(agents);
    let spending = spending::plan(&known, &mut problems);
    items.extend(spending);
    let knowledge = knowledge::plan(&known, &mut problems);
    items.extend(knowledge);
    if !problems.is_empty() {
        return Err(problems);
    }
    if let (true, Some(set)) = (asked.prune, asked.set) {
        let pruned = pruned(asked.present, set, &items);
        items.extend(pruned);
    }
    Ok(Plan { items })
}

/// What has the set's mark and was not declared.
fn pruned<'a>(present: &Present, set: &str, declared: &'a [Item]) -> Vec<Item> {
    let id = |item: &'a Item| Some((item.kind, item.step.id()?));
    let declared: HashSet<_> = declared.iter().filter_map(id).collect();
    let is_gone = |kind: Kind, id: &str, metadata: &BTreeMap<String, String>| {
        mark(metadata) == Some(set) && !declared.contains(&(kind, id))
    };
    let prune = |kind, name: &String, id: &str, version| Item {
        kind,
        name: name.clone(),
        step: Step::Prune {
            id: id.to_owned(),
            version,
        },
    };
    let agents = present.agents.iter();
    let agents = agents.filter(|agent| is_gone(Kind::Agent, agent.id.as_str(), &agent.metadata));
    let agents =
        agents.map(|agent| prune(Kind::Agent, &agent.name, agent.id.as_str(), agent.version));
    let environments = present.environments.iter();
    let environments =
        environments.filter(|found| is_gone(Kind::Environment, &found.id, &found.metadata));
    let environments =
        environments.map(|found| prune(Kind::Environment, &found.name, &found.id, found.version));
    let rest = agents.chain(environments);
    knowledge::pruned(present, set, &declared)
        .chain(spending::pruned(present, set, &declared))
        .chain(rest)
        .collect()
}

impl Step {
    /// Of what is there already.
    pub(super) fn id(&self) -> Option<&str> {
        match self {
            Self::Create { .. } => None,
            Self::Update { id, .. } | Self::Unchanged { id } | Self::Prune { id, .. } => Some(id),
        }
    }
}

/// The set that made something.
pub(super) fn mark(metadata: &BTreeMap<String, String>) -> Option<&str> {
    metadata.get(MARK).map(String::as_str)
}

impl Asked<'_> {
    /// The mark that something is to have that has this one now; an error if it is another set's.
    fn mark_of(&self, now: Option<&str>) -> Result<Option<String>, String> {
        match now {
            _ if self.take_over => Ok(self.set.map(str::to_owned)),
            Some(other) if self.set != Some(other) => Err(other.to_owned()),
            now => Ok(now.map(str::to_owned)),
        }
    }
}

/// What there is, found by names.
struct Known<'a> {
    asked: &'a Asked<'a>,
    /// The names of environments that documents declare.
    declared: HashSet<String>,
    environments: HashMap<String, &'a PresentEnvironment>,
    agents: HashMap<&'a str, Vec<&'a PresentAgent>>,
}

impl<'a> Known<'a> {
    fn of(asked: &'a Asked<'a>) -> Self {
        let documents = asked.documents.iter();
        let documents = documents.filter(|document| document.kind() == Kind::Environment);
        let environments = asked.present.environments.iter();
        let mut agents = HashMap::<_, Vec<_>>::new();
        for agent in &asked.present.agents {
            agents.entry(agent.name.as_str()).or_default().push(agent);
        }
        Self {
            asked,
            declared: documents
                .map(|document| name_key(document.name()))
                .collect(),
            environments: environments
                .map(|found| (name_key(&found.name), found))
                .collect(),
            agents,
        }
    }

    /// Whether a document declares an environment of this name.
    fn declares(&self, environment: &str) -> bool {
        self.declared.contains(&name_key(environment))
    }

    fn environment(&self, name: &str) -> Option<&'a PresentEnvironment> {
        self.environments.get(&name_key(name)).copied()
    }

    fn agents(&self, name: &str) -> &[&'a PresentAgent] {
        self.agents.get(name).map_or(&[], Vec::as_slice)
    }
}

/// The pairs that something is to have.
fn marked(metadata: &BTreeMap<String, String>, mark: Option<String>) -> BTreeMap<String, String> {
    let mut metadata = metadata.clone();
    metadata.extend(mark.map(|set| (MARK.to_owned(), set)));
    metadata
}

/// The fields in which two objects differ, and how. A field whose difference is none of its parts' is told as a whole.
fn differing(
    before: &Map<String, Value>,
    after: &Map<String, Value>,
) -> (Vec<String>, Vec<Change>) {
    let (mut fields, mut changes) = (Vec::new(), Vec::new());
    for (field, after) in after {
        let before = before.get(field).unwrap_or(&Value::Null);
        if before == after {
            continue;
        }
        let parts = difference(before, after);
        fields.push(field.clone());
        if parts.is_empty() {
            changes.push(Change {
                path: field.clone(),
                before: Some(before.clone()),
                after: Some(after.clone()),
            });
        }
        let whole = |change: Change| {
            let part = change.path;
            let path = match part.chars().next() {
                None => field.clone(),
                Some('[') => format!("{field}{part}"),
                Some(_) => format!("{field}.{part}"),
            };
            Change { path, ..change }
        };
        changes.extend(parts.into_iter().map(whole));
    }
    (fields, changes)
}

/// What something that is made has, but for its name, what is always the same and what is off.
fn made(body: &Map<String, Value>) -> Vec<Change> {
    let mut changes = difference(&Value::Null, &Value::Object(body.clone()));
    let is_told = |change: &Change| {
        let off = change.after == Some(Value::Bool(false));
        !off && !["name", "config.packages.type"].contains(&change.path.as_str())
    };
    changes.retain(is_told);
    changes
}

/// The change of pairs that makes these of those: null takes one away.
fn metadata_patch(before: &Value, after: &Value) -> Value {
    let (Value::Object(before), Value::Object(after)) = (before, after) else {
        return after.clone();
    };
    let gone = before.keys().filter(|key| !after.contains_key(*key));
    let gone = gone.map(|key| (key.clone(), Value::Null));
    let set = after
        .iter()
        .filter(|(key, value)| before.get(*key) != Some(value));
    let set = set.map(|(key, value)| (key.clone(), value.clone()));
    Value::Object(set.chain(gone).collect())
}
