//! Whom an agent may delegate to.

use std::collections::BTreeSet;

use bailiwick_model::{AgentId, limits};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::request::{Fields, Place, Reader};

/// Whom an agent may delegate to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type")]
pub enum Multiagent {
    /// A list.
    #[serde(rename = "coordinator")]
    Coordinator {
        /// 1 to 20 of them.
        agents: Vec<Delegate>,
    },
    /// Three ways to delegate, each for itself.
    #[serde(rename = "multiagent_20261001")]
    Members {
        /// A model that it may ask.
        advisor: Advisor,
        /// Threads that it may start.
        subagents: Delegation,
        /// Workflows that it may start.
        workflows: Delegation,
    },
}

/// One that an agent may delegate to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Delegate {
    /// A version of an agent.
    Agent(AgentReference),
    /// The agent itself, at the version that says so.
    #[serde(rename = "self")]
    Own,
    /// A model that it may ask.
    Advisor {
        /// Its id.
        model: String,
    },
}

/// A version of an agent; without one the latest is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AgentReference {
    /// Which agent.
    pub id: AgentId,
    /// Which version.
    pub version: Option<i64>,
}

/// A model that an agent may ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Advisor {
    /// This one.
    Enabled {
        /// Its id.
        model: String,
    },
    /// There is none.
    Disabled,
}

/// Who may be delegated to in one way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Delegation {
    /// It may delegate.
    Enabled {
        /// Agents that it makes up.
        inline_agents: InlineAgents,
        /// Agents that there are.
        predefined_agents: Vec<Delegate>,
    },
    /// It may not.
    Disabled,
}

/// Whether an agent may make up agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum InlineAgents {
    /// It may.
    Enabled,
    /// It may not.
    Disabled,
}

/// An agent that a body is of, at the version before the change.
#[derive(Debug, Clone, Copy)]
pub struct Own<'a> {
    /// Its id.
    pub id: &'a AgentId,
    /// Its version.
    pub version: i64,
}

const MEMBERS: &str = "multiagent_20261001";
const SWITCH: &[(&str, bool)] = &[("enabled", true), ("disabled", false)];

impl Multiagent {
    pub(crate) fn read(
        reader: &mut Reader,
        place: &Place<'_>,
        own: Option<Own<'_>>,
    ) -> Option<Self> {
        let is_members = place.value.get("type").is_some_and(|kind| kind == MEMBERS);
        reader.object(place, |reader, fields| {
            let kind = fields.required(reader, "type");
            if is_members {
                return Self::members(reader, fields, own);
            }
            let agents = fields.required(reader, "agents");
            reader.word(&kind?, &[("coordinator", ()), (MEMBERS, ())])?;
            let places = reader.list(&agents?, 1..=limits::AGENT_ROSTER)?;
            Some(Self::Coordinator {
                agents: delegates(reader, &places, own, true)?,
            })
        })
    }

    fn members(reader: &mut Reader, fields: &mut Fields<'_>, own: Option<Own<'_>>) -> Option<Self> {
        let advisor = fields.take("advisor");
        let (subagents, workflows) = (fields.take("subagents"), fields.take("workflows"));
        let mut delegation = |place| Delegation::read(reader, place, own);
        let (subagents, workflows) = (delegation(subagents), delegation(workflows));
        Some(Self::Members {
            advisor: match advisor {
                Some(place) => Advisor::read(reader, &place)?,
                None => Advisor::Disabled,
            },
            subagents: subagents?,
            workflows: workflows?,
        })
    }

    /// Everyone on its lists, with their fields.
    pub fn delegates_mut(&mut self) -> Vec<(String, &mut Delegate)> {
        let lists = match self {
            Self::Coordinator { agents } => vec![("multiagent.agents", agents)],
            Self::Members {
                advisor: _,
                subagents,
                workflows,
            } => {
                let named = [
                    ("multiagent.subagents.predefined_agents", subagents),
                    ("multiagent.workflows.predefined_agents", workflows),
                ];
                let list = |(path, delegation)| match delegation {
                    &mut Delegation::Enabled {
                        ref mut predefined_agents,
                        ..
                    } => Some((path, predefined_agents)),
                    Delegation::Disabled => None,
                };
                named.into_iter().filter_map(list).collect()
            }
        };
        let entries = lists.into_iter().flat_map(|(path, list)| {
            let entry = move |(index, delegate)| (format!("{path}[{index}]"), delegate);
            list.iter_mut().enumerate().map(entry)
        });
        entries.collect()
    }

    /// The same without some agents; `None` where nobody is left on its list. A way to delegate that has nobody left is disabled.
    #[must_use]
    pub fn without(self, gone: &BTreeSet<AgentId>) -> Option<Self> {
        let stays = |delegate: &Delegate| match delegate {
            Delegate::Agent(reference) => !gone.contains(&reference.id),
            Delegate::Own | Delegate::Advisor { .. } => true,
        };
        let left = |delegation| match delegation {
            Delegation::Enabled {
                inline_agents,
                mut predefined_agents,
            } => {
                predefined_agents.retain(stays);
                if inline_agents == InlineAgents::Disabled && predefined_agents.is_empty() {
                    Delegation::Disabled
                } else {
                    Delegation::Enabled {
                        inline_agents,
                        predefined_agents,
                    }
                }
            }
            Delegation::Disabled => Delegation::Disabled,
        };
        match self {
            Self::Coordinator { mut agents } => {
                agents.retain(stays);
                (!agents.is_empty()).then_some(Self::Coordinator { agents })
            }
            Self::Members {
                advisor,
                subagents,
                workflows,
            } => Some(Self::Members {
                advisor,
                subagents: left(subagents),
                workflows: left(workflows),
            }),
        }
    }

    /// The same, at a version of the agent that it belongs to: it is among those whom it names.
    #[must_use]
    pub fn at(mut self, own: Own<'_>) -> Self {
        for (_, delegate) in self.delegates_mut() {
            if *delegate == Delegate::Own {
                *delegate = Delegate::Agent(AgentReference {
                    id: own.id.clone(),
                    version: Some(own.version),
                });
            }
        }
        self
    }
}

impl Delegate {
    fn read(
        reader: &mut Reader,
        place: &Place<'_>,
        own: Option<Own<'_>>,
        with_advisor: bool,
    ) -> Option<Self> {
        #[derive(Clone, Copy)]
        enum Kind {
            Agent,
            Own,
            Advisor,
        }
        const KINDS: &[(&str, Kind)] = &[
            ("agent", Kind::Agent),
            ("self", Kind::Own),
            ("advisor", Kind::Advisor),
        ];
        if place.value.is_string() {
            let id = agent_id(reader, place)?;
            return Some(Self::of(id, None, own));
        }
        let kinds = if with_advisor { KINDS } else { &KINDS[..2] };
        reader.object(place, |reader, fields| {
            let kind = fields.required(reader, "type")?;
            match reader.word(&kind, kinds)? {
                Kind::Own => Some(Self::Own),
                Kind::Advisor => {
                    let model = fields.required(reader, "model")?;
                    let model = reader.name(&model, 1..=limits::MODEL_ID_CHARS)?.to_owned();
                    Some(Self::Advisor { model })
                }
                Kind::Agent => {
                    let (id, version) = (fields.required(reader, "id"), fields.take("version"));
                    let version = match version {
                        Some(place) => Some(reader.number(&place)?),
                        None => None,
                    };
                    Some(Self::of(agent_id(reader, &id?)?, version, own))
                }
            }
        })
    }

    /// An agent that names itself as it is now means itself as it will be.
    fn of(id: AgentId, version: Option<i64>, own: Option<Own<'_>>) -> Self {
        match own {
            Some(own) if *own.id == id && version.is_none_or(|version| version == own.version) => {
                Self::Own
            }
            Some(_) | None => Self::Agent(AgentReference { id, version }),
        }
    }

    fn key(&self, own: Option<Own<'_>>) -> String {
        match self {
            Self::Agent(reference) => reference.id.to_string(),
            Self::Own => {
                own.map_or_else(|| "the agent itself".to_owned(), |own| own.id.to_string())
            }
            Self::Advisor { model } => format!("the advisor {model:?}"),
        }
    }
}

fn agent_id(reader: &mut Reader, place: &Place<'_>) -> Option<AgentId> {
    let text = reader.text(place, 1..=128)?;
    let id = text.parse();
    if id.is_err() {
        let message = "is not the id of an agent";
        reader.refuse(
            &place.path,
            "unknown_agent",
            message,
            "ids of agents begin with `agent_`",
        );
    }
    id.ok()
}

fn delegates(
    reader: &mut Reader,
    places: &[Place<'_>],
    own: Option<Own<'_>>,
    with_advisor: bool,
) -> Option<Vec<Delegate>> {
    let delegates = reader.each(places, |reader, place| {
        Delegate::read(reader, place, own, with_advisor)
    })?;
    let path = |index: usize| places[index].path.clone();
    reader.distinct(path, delegates.iter().map(|delegate| delegate.key(own)));
    Some(delegates)
}

impl Advisor {
    fn read(reader: &mut Reader, place: &Place<'_>) -> Option<Self> {
        reader.object(place, |reader, fields| {
            let (kind, model) = (fields.required(reader, "type"), fields.take("model"));
            match (reader.word(&kind?, SWITCH)?, model) {
                (true, Some(model)) => {
                    let model = reader.name(&model, 1..=limits::MODEL_ID_CHARS)?.to_owned();
                    Some(Self::Enabled { model })
                }
                (true, None) => {
                    let path = format!("{}.model", place.path);
                    reader.refuse(&path, "missing_field", "`model` is needed", "add `model`");
                    None
                }
                (false, Some(model)) => {
                    let message = "an advisor that is disabled has no model";
                    reader.refuse(&model.path, "unknown_field", message, "remove it");
                    None
                }
                (false, None) => Some(Self::Disabled),
            }
        })
    }
}

impl Delegation {
    /// Enabled, with agents that are made up, unless something else is said.
    fn read(reader: &mut Reader, place: Option<Place<'_>>, own: Option<Own<'_>>) -> Option<Self> {
        let Some(place) = place else {
            return Some(Self::Enabled {
                inline_agents: InlineAgents::Enabled,
                predefined_agents: Vec::new(),
            });
        };
        let is_disabled = place
            .value
            .get("type")
            .is_some_and(|kind| kind == "disabled");
        reader.object(&place, |reader, fields| {
            let kind = fields.required(reader, "type");
            if is_disabled {
                return Some(Self::Disabled);
            }
            let (inline, predefined) = (
                fields.take("inline_agents"),
                fields.take("predefined_agents"),
            );
            reader.word(&kind?, SWITCH)?;
            let inline_agents = match inline {
                Some(place) => InlineAgents::read(reader, &place)?,
                None => InlineAgents::Enabled,
            };
            let predefined_agents = match predefined {
                Some(list) => {
                    let places = reader.list(&list, 0..=limits::AGENT_ROSTER)?;
                    delegates(reader, &places, own, false)?
                }
                None => Vec::new(),
            };
            if inline_agents == InlineAgents::Disabled && predefined_agents.is_empty() {
                let message = "leaves nobody to delegate to";
                let help = "name `predefined_agents`, or write `\"type\": \"disabled\"`";
                reader.refuse(&place.path, "nobody_left", message, help);
            }
            Some(Self::Enabled {
                inline_agents,
                predefined_agents,
            })
        })
    }
}

impl InlineAgents {
    fn read(reader: &mut Reader, place: &Place<'_>) -> Option<Self> {
        reader.object(place, |reader, fields| {
            let kind = fields.required(reader, "type")?;
            Some(if reader.word(&kind, SWITCH)? {
                Self::Enabled
            } else {
                Self::Disabled
            })
        })
    }
}

/// A change replaces what is stored, but for [`Multiagent::Members`]: there, objects of the same type are merged, key by key; null is the
/// default. An advisor is replaced, since one that is enabled must name its model.
pub(crate) fn merged(stored: Option<&Value>, patch: Value) -> Value {
    match (stored, patch) {
        (Some(Value::Object(stored)), Value::Object(patch))
            if patch.get("type").is_some_and(|kind| kind == MEMBERS)
                && stored.get("type") == patch.get("type") =>
        {
            Value::Object(deep(stored.clone(), patch))
        }
        (_, patch) => patch,
    }
}

fn deep(mut stored: Map<String, Value>, patch: Map<String, Value>) -> Map<String, Value> {
    for (key, value) in patch {
        let value = match (stored.remove(&key), value) {
            (Some(Value::Object(stored)), Value::Object(patch))
                if key != "advisor" && stored.get("type") == patch.get("type") =>
            {
                Value::Object(deep(stored, patch))
            }
            (_, value) => value,
        };
        stored.insert(key, value);
    }
    stored
}
