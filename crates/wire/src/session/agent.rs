//! Whose session it is: a version of an agent, as it is or with other parts, and what the session shows of it.

use bailiwick_model::limits;
use serde_json::{Map, Value};

use crate::agent::{AgentBody, AgentConfig, StoredAgent};
use crate::json::FieldProblem;
use crate::request::{Fields, Place, Reader};

/// Which agent a session is to be of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionAgentReference {
    /// Its id, if it is one.
    pub id: String,
    /// Which version; without it the latest.
    pub version: Option<i64>,
    /// What is different in the session.
    pub overrides: AgentOverrides,
}

/// Parts of an agent that are different in a session: absent is as in the agent, null is none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AgentOverrides(Map<String, Value>);

/// An agent in a session, as the session shows it: everything of an [`AgentConfig`] but whom it delegates to, and what it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionAgent(Map<String, Value>);

/// What may be different.
const PARTS: [&str; 5] = ["model", "system", "tools", "mcp_servers", "skills"];

impl SessionAgentReference {
    pub(super) fn read(reader: &mut Reader, place: &Place<'_>) -> Option<Self> {
        if place.value.is_string() {
            let id = reader.text(place, 1..=limits::REFERENCE_CHARS)?;
            return Some(Self {
                id: id.to_owned(),
                version: None,
                overrides: AgentOverrides::default(),
            });
        }
        reader.object(place, |reader, fields| {
            let kind = fields.required(reader, "type");
            let (id, version) = (fields.required(reader, "id"), fields.take("version"));
            let id = id.and_then(|place| reader.text(&place, 1..=limits::REFERENCE_CHARS));
            let version = match version {
                Some(place) => reader.number(&place).map(Some),
                None => Some(None),
            };
            let kinds = [("agent", false), ("agent_with_overrides", true)];
            let overrides = match kind.and_then(|place| reader.word(&place, &kinds)) {
                Some(true) => AgentOverrides::read(reader, fields, &PARTS),
                Some(false) => Some(AgentOverrides::default()),
                None => {
                    // Which other fields there may be depends on it.
                    fields.ignore_rest();
                    None
                }
            };
            Some(Self {
                id: id?.to_owned(),
                version: version?,
                overrides: overrides?,
            })
        })
    }
}

impl AgentOverrides {
    /// Their values are read with the agent that they are for.
    fn read(reader: &mut Reader, fields: &mut Fields<'_>, parts: &[&'static str]) -> Option<Self> {
        let mut given = Map::new();
        for &part in parts {
            if let Some(place) = fields.take_or_null(part) {
                if part == "model" && place.value.is_null() {
                    let message = "an agent has a model (agent_model_required)";
                    reader.refuse(&place.path, "agent_model_required", message, "leave it out");
                    return None;
                }
                given.insert(part.to_owned(), place.value.clone());
            }
        }
        Some(Self(given))
    }

    /// Reads what may change in a session that goes on.
    pub(super) fn read_change(reader: &mut Reader, place: &Place<'_>) -> Option<Self> {
        reader.object(place, |reader, fields| {
            Self::read(reader, fields, &["tools", "mcp_servers"])
        })
    }

    /// Whether nothing is different.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// An agent with these parts.
    ///
    /// # Errors
    ///
    /// What is wrong with the whole; the fields are those below `agent`.
    pub fn apply(&self, agent: StoredAgent) -> Result<AgentBody, Vec<FieldProblem>> {
        let StoredAgent {
            name,
            config,
            metadata,
        } = agent;
        let mut whole = config;
        whole.insert("name".to_owned(), Value::String(name));
        whole.insert("metadata".to_owned(), Value::Object(metadata));
        whole.extend(self.0.clone());
        let read = AgentBody::create(&whole).map_err(below_agent)?;
        let clears_tools = self.0.contains_key("tools") && read.config.tools.is_empty();
        if clears_tools && !read.config.skills.is_empty() {
            return Err(vec![FieldProblem {
                field: "agent.tools".to_owned(),
                code: "skills_need_tools",
                message: "an agent uses its skills with its tools".to_owned(),
                help: "clear `skills` too, or leave some tools".to_owned(),
            }]);
        }
        Ok(read)
    }
}

fn below_agent(problems: Vec<FieldProblem>) -> Vec<FieldProblem> {
    let below = |problem: FieldProblem| FieldProblem {
        field: format!("agent.{}", problem.field),
        ..problem
    };
    problems.into_iter().map(below).collect()
}

impl SessionAgent {
    /// A version of an agent, as sessions show it.
    pub fn of(id: &str, version: i64, name: &str, config: &AgentConfig) -> Self {
        let alone = AgentConfig {
            multiagent: None,
            ..config.clone()
        };
        let Ok(Value::Object(mut map)) = serde_json::to_value(alone) else {
            unreachable!("texts, booleans, numbers, lists and maps in an object")
        };
        map.remove("multiagent");
        map.insert("id".to_owned(), id.into());
        map.insert("type".to_owned(), "agent".into());
        map.insert("version".to_owned(), version.into());
        map.insert("name".to_owned(), name.into());
        Self(map)
    }

    /// The session's own agent, and all that it delegates to: in the place of each reference to a version of an agent stands that version.
    #[must_use]
    pub fn with_delegates(
        mut self,
        config: &AgentConfig,
        resolve: &dyn Fn(&str, i64) -> Option<SessionAgent>,
    ) -> Value {
        let mut multiagent = serde_json::to_value(&config.multiagent)
            .expect("texts, booleans, numbers, lists and maps");
        for list in [
            "/agents",
            "/subagents/predefined_agents",
            "/workflows/predefined_agents",
        ] {
            let Some(Value::Array(entries)) = multiagent.pointer_mut(list) else {
                continue;
            };
            for entry in entries {
                let id = entry.get("id").and_then(Value::as_str);
                let version = entry.get("version").and_then(Value::as_i64);
                let resolved = id
                    .zip(version)
                    .and_then(|(id, version)| resolve(id, version));
                if let Some(Self(whole)) = resolved {
                    *entry = Value::Object(whole);
                }
            }
        }
        self.0.insert("multiagent".to_owned(), multiagent);
        Value::Object(self.0)
    }

    /// What a session shows of its agent, with other tools and MCP servers.
    ///
    /// # Errors
    ///
    /// As [`AgentOverrides::apply`].
    pub fn changed(
        mut shown: Map<String, Value>,
        overrides: &AgentOverrides,
    ) -> Result<Value, Vec<FieldProblem>> {
        let mut config = shown.clone();
        for key in ["id", "type", "version", "multiagent"] {
            config.remove(key);
        }
        let name = config.remove("name");
        let name = name.as_ref().and_then(Value::as_str).unwrap_or_default();
        let stored = StoredAgent {
            name: name.to_owned(),
            config,
            metadata: Map::new(),
        };
        let AgentConfig {
            tools, mcp_servers, ..
        } = overrides.apply(stored)?.config;
        let written = serde_json::to_value(tools).and_then(|tools| {
            shown.insert("tools".to_owned(), tools);
            serde_json::to_value(mcp_servers)
        });
        let servers = written.expect("texts, booleans, numbers, lists and maps");
        shown.insert("mcp_servers".to_owned(), servers);
        Ok(Value::Object(shown))
    }
}
