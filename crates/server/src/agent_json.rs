//! An agent as its two faces show it.

use bailiwick_control::ControlError;
use bailiwick_model::{AgentId, EnvironmentId};
use bailiwick_store::{Agent, StoreError};
use bailiwick_wire::{AgentBody, AgentParts, Schema};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::failure::Failure;

/// The wire's agent: every key always there.
#[derive(Serialize)]
pub(crate) struct WireAgent<'a> {
    id: &'a AgentId,
    r#type: &'static str,
    name: &'a str,
    #[serde(flatten)]
    parts: AgentParts<'a>,
    metadata: &'a RawValue,
    version: i64,
    created_at: Timestamp,
    updated_at: Timestamp,
    archived_at: Option<Timestamp>,
}

/// The administration's agent: what the wire has, and where the agent was placed.
#[derive(Serialize)]
pub(crate) struct ApiAgent<'a> {
    #[serde(flatten)]
    wire: WireAgent<'a>,
    environment_id: Option<&'a EnvironmentId>,
    revision: i64,
}

/// What is stored cannot be read.
fn corrupt(column: &'static str) -> Failure {
    ControlError::Store(StoreError::Corrupt { column }).into()
}

impl<'a> WireAgent<'a> {
    fn fields() -> Schema {
        let agent = Schema::answer()
            .has("id", Schema::id::<AgentId>())
            .has("type", Schema::word("agent"))
            .has("name", Schema::text());
        AgentBody::answer_schema(agent)
            .has("metadata", Schema::metadata())
            .has("version", Schema::version())
            .has("created_at", Schema::moment())
            .has("updated_at", Schema::moment())
            .has("archived_at", Schema::moment().or_null())
    }

    pub(crate) fn schema() -> Schema {
        Self::fields().named("Agent")
    }

    pub(crate) fn of(agent: &'a Agent) -> Result<Self, Failure> {
        let values = &agent.values;
        Ok(Self {
            id: &agent.id,
            r#type: "agent",
            name: &values.name,
            parts: AgentParts::of(&values.config).map_err(|_| corrupt("config"))?,
            metadata: serde_json::from_str(&values.metadata).map_err(|_| corrupt("metadata"))?,
            version: agent.version,
            created_at: agent.created_at,
            updated_at: agent.updated_at,
            archived_at: agent.archived_at,
        })
    }
}

impl<'a> ApiAgent<'a> {
    pub(crate) fn schema() -> Schema {
        let environment = Schema::id::<EnvironmentId>().or_null();
        WireAgent::fields()
            .has("environment_id", environment.says("Where it was placed."))
            .has(
                "revision",
                Schema::version().says("Counts changes of the placement too."),
            )
            .named("PlacedAgent")
    }

    pub(crate) fn of(agent: &'a Agent) -> Result<Self, Failure> {
        Ok(Self {
            wire: WireAgent::of(agent)?,
            environment_id: agent.environment.as_ref(),
            revision: agent.revision,
        })
    }
}
