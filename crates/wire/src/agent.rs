//! Agents as requests and answers carry them: what a body means, and what becomes of a stored agent that one changes.
//!
//! A change is merged as JSON into what is stored, and the whole is then read like a new one: there is one set of rules. What is stored is
//! what answers show, every default resolved; read again, it is itself.

mod custom;
mod declared;
pub(crate) mod model;
mod multiagent;
mod servers;
pub(crate) mod tools;
mod web;

use std::collections::BTreeMap;

use bailiwick_model::limits;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

pub use custom::CustomTool;
pub use model::{Effort, InferenceGeo, ModelConfig, Speed};
pub use multiagent::{
    Advisor, AgentReference, Delegate, Delegation, InlineAgents, Multiagent, Own,
};
pub use servers::{AgentSkill, ExecutionIdentity, McpServer, SkillSource};
pub use tools::{
    BUILT_IN_TOOLS, BuiltInConfig, BuiltInTool, BuiltInToolset, McpConfig, McpToolset,
    PermissionPolicy, Tool, ToolDefaults,
};
pub use web::{
    ToolReference, UrlSource, UrlSources, UserLocation, WebDomains, WebFetch, WebSearch,
};

use crate::json::{FieldProblem, join};
use crate::request::{Fields, Place, Reader};
use crate::validate::RESERVED_METADATA;

/// What a body says of an agent, or what is stored of one after it was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentBody {
    /// Its name.
    pub name: String,
    /// What it is.
    pub config: AgentConfig,
    /// Free pairs; no key has a reserved prefix.
    pub metadata: BTreeMap<String, String>,
}

/// What an agent is: everything of a version but its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AgentConfig {
    /// What it is for.
    pub description: Option<String>,
    /// Its system prompt.
    pub system: Option<String>,
    /// Its model.
    pub model: ModelConfig,
    /// Its tools.
    pub tools: Vec<Tool>,
    /// Its MCP servers.
    pub mcp_servers: Vec<McpServer>,
    /// Its skills.
    pub skills: Vec<AgentSkill>,
    /// Whom it may delegate to.
    pub multiagent: Option<Multiagent>,
    /// As whom it acts.
    pub execution_identity: ExecutionIdentity,
}

/// A stored configuration in its parts, each as its text: answers are put together from them without reading them.
#[derive(Debug, Deserialize, Serialize)]
#[expect(missing_docs, reason = "as in AgentConfig")]
pub struct AgentParts<'a> {
    #[serde(borrow)]
    pub description: &'a RawValue,
    #[serde(borrow)]
    pub system: &'a RawValue,
    #[serde(borrow)]
    pub model: &'a RawValue,
    #[serde(borrow)]
    pub tools: &'a RawValue,
    #[serde(borrow)]
    pub mcp_servers: &'a RawValue,
    #[serde(borrow)]
    pub skills: &'a RawValue,
    #[serde(borrow)]
    pub multiagent: &'a RawValue,
    #[serde(borrow)]
    pub execution_identity: &'a RawValue,
}

/// What is stored, as JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAgent {
    /// Its name.
    pub name: String,
    /// See [`AgentConfig::to_json`].
    pub config: Map<String, Value>,
    /// Free pairs.
    pub metadata: Map<String, Value>,
}

impl<'a> AgentParts<'a> {
    /// Takes a stored configuration apart.
    ///
    /// # Errors
    ///
    /// It is not what [`AgentConfig::to_json`] writes.
    pub fn of(config: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(config)
    }

    /// Whether it delegates to other agents.
    pub fn delegates(&self) -> bool {
        self.multiagent.get() != "null"
    }
}

impl AgentConfig {
    /// The configuration as it is stored and shown, of an agent at a version.
    pub fn to_json(&self, own: Own<'_>) -> Value {
        let multiagent = self.multiagent.clone();
        let pinned = Self {
            multiagent: multiagent.map(|multiagent| multiagent.at(own)),
            ..self.clone()
        };
        serde_json::to_value(pinned).expect("texts, booleans, numbers, lists and maps")
    }
}

/// The version that a change was made from, if it says so.
///
/// # Errors
///
/// It is not a number from 1 on.
pub fn expected_version(body: &Map<String, Value>) -> Result<Option<i64>, Vec<FieldProblem>> {
    let Some(value) = body.get("version").filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let mut reader = Reader::default();
    let path = "version".to_owned();
    let number = reader.number(&Place { value, path });
    reader.end(number).map(Some)
}

impl AgentBody {
    /// Reads the body that makes an agent.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, each with its field.
    pub fn create(body: &Map<String, Value>) -> Result<Self, Vec<FieldProblem>> {
        Self::read(body, None)
    }

    /// Reads the body that changes an agent; what is absent stays.
    ///
    /// # Errors
    ///
    /// As [`Self::create`]; the fields are those of the whole agent after the change.
    pub fn update(
        stored: StoredAgent,
        body: &Map<String, Value>,
        own: Own<'_>,
    ) -> Result<Self, Vec<FieldProblem>> {
        let StoredAgent {
            name,
            config,
            metadata,
        } = stored;
        let mut whole = body.clone();
        whole.remove("version");
        whole.entry("name").or_insert(Value::String(name));
        if let Some(patch) = whole.remove("model") {
            whole.insert(
                "model".to_owned(),
                model::merged(config.get("model"), patch),
            );
        }
        if let Some(patch) = whole.remove("multiagent") {
            let merged = multiagent::merged(config.get("multiagent"), patch);
            whole.insert("multiagent".to_owned(), merged);
        }
        for (key, value) in config {
            whole.entry(key).or_insert(value);
        }
        let metadata = match whole.remove("metadata") {
            Some(Value::Object(patch)) => Value::Object(patched(metadata, patch)),
            Some(other) if !other.is_null() => other,
            Some(_) | None => Value::Object(metadata),
        };
        whole.insert("metadata".to_owned(), metadata);
        Self::read(&whole, Some(own))
    }

    fn read(whole: &Map<String, Value>, own: Option<Own<'_>>) -> Result<Self, Vec<FieldProblem>> {
        let mut reader = Reader::default();
        let body = reader.body(whole, |reader, fields| Self::of(reader, fields, own));
        reader.end(body)
    }

    fn of(reader: &mut Reader, fields: &mut Fields<'_>, own: Option<Own<'_>>) -> Option<Self> {
        let (name, model) = (
            fields.required(reader, "name"),
            fields.required(reader, "model"),
        );
        let name = name.and_then(|place| reader.name(&place, 1..=limits::AGENT_NAME_CHARS));
        let model = model.and_then(|place| ModelConfig::read(reader, &place));
        let description = prose(
            reader,
            fields.take("description"),
            limits::AGENT_DESCRIPTION_CHARS,
        );
        let system = prose(reader, fields.take("system"), limits::AGENT_SYSTEM_CHARS);
        let tools = all(reader, fields.take("tools"), tools::read);
        let servers = all(reader, fields.take("mcp_servers"), servers_of);
        let skills = all(reader, fields.take("skills"), skills_of);
        let multiagent = fields.take("multiagent");
        let multiagent = match multiagent {
            Some(place) => Multiagent::read(reader, &place, own).map(Some),
            None => Some(None),
        };
        let identity = match fields.take("execution_identity") {
            Some(place) => ExecutionIdentity::read(reader, &place),
            None => Some(ExecutionIdentity::ServiceAccount),
        };
        let metadata = match fields.take("metadata") {
            Some(place) => pairs(reader, &place),
            None => Some(BTreeMap::new()),
        };
        if let (Some(tools), Some(servers)) = (&tools, &servers) {
            tools::match_servers(reader, tools, servers);
        }
        Some(Self {
            name: name?.to_owned(),
            config: AgentConfig {
                description: description?,
                system: system?,
                model: model?,
                tools: tools?,
                mcp_servers: servers?,
                skills: skills?,
                multiagent: multiagent?,
                execution_identity: identity?,
            },
            metadata: metadata?,
        })
    }
}

/// A text that may be missing; the empty one is none.
fn prose(
    reader: &mut Reader,
    place: Option<Place<'_>>,
    most_chars: usize,
) -> Option<Option<String>> {
    let Some(place) = place else {
        return Some(None);
    };
    let text = reader.text(&place, 0..=most_chars)?;
    Some(Some(text.to_owned()).filter(|text| !text.is_empty()))
}

/// A list that may be missing.
fn all<T>(
    reader: &mut Reader,
    place: Option<Place<'_>>,
    read: impl FnOnce(&mut Reader, &Place<'_>) -> Option<Vec<T>>,
) -> Option<Vec<T>> {
    match place {
        Some(place) => read(reader, &place),
        None => Some(Vec::new()),
    }
}

fn servers_of(reader: &mut Reader, place: &Place<'_>) -> Option<Vec<McpServer>> {
    let places = reader.list(place, 0..=limits::AGENT_MCP_SERVERS)?;
    let servers = reader.each(&places, McpServer::read)?;
    let path = |index: usize| join(&places[index].path, "name");
    reader.distinct(path, servers.iter().map(McpServer::name));
    Some(servers)
}

fn skills_of(reader: &mut Reader, place: &Place<'_>) -> Option<Vec<AgentSkill>> {
    let places = reader.list(place, 0..=limits::AGENT_SKILLS)?;
    let skills = reader.each(&places, AgentSkill::read)?;
    let path = |index: usize| join(&places[index].path, "skill_id");
    reader.distinct(path, skills.iter().map(|skill| skill.skill_id.as_str()));
    Some(skills)
}

pub(crate) fn pairs(reader: &mut Reader, place: &Place<'_>) -> Option<BTreeMap<String, String>> {
    let Value::Object(map) = place.value else {
        return reader.object(place, |_, _| None);
    };
    if map.len() > limits::METADATA_PAIRS {
        let (most, count) = (limits::METADATA_PAIRS, map.len());
        let message = format!("has at most {most} pairs, this one {count}");
        reader.refuse(&place.path, "invalid_metadata", message, "leave some out");
        return None;
    }
    let pair = |(key, value): (&String, &Value)| pair(reader, &place.path, key, value);
    let read: Vec<_> = map.iter().map(pair).collect();
    read.into_iter().collect()
}

fn pair(reader: &mut Reader, path: &str, key: &str, value: &Value) -> Option<(String, String)> {
    let path = join(path, key);
    let reserved = RESERVED_METADATA
        .iter()
        .find(|prefix| key.starts_with(**prefix));
    if let Some(prefix) = reserved {
        let message = format!("keys that begin with {prefix:?} are reserved");
        reader.refuse(&path, "reserved_metadata", message, "choose another key");
        return None;
    }
    let (most, count) = (limits::METADATA_KEY_CHARS, key.chars().count());
    if !(1..=most).contains(&count) {
        let message = format!("a key has 1 to {most} characters, this one {count}");
        reader.refuse(&path, "invalid_metadata", message, "shorten it");
        return None;
    }
    let place = Place { value, path };
    let text = reader.text(&place, 0..=limits::METADATA_VALUE_CHARS)?;
    Some((key.to_owned(), text.to_owned()))
}

/// A patch of pairs: a text sets, null removes.
fn patched(mut stored: Map<String, Value>, patch: Map<String, Value>) -> Map<String, Value> {
    for (key, value) in patch {
        if value.is_null() {
            stored.remove(&key);
        } else {
            stored.insert(key, value);
        }
    }
    stored
}
