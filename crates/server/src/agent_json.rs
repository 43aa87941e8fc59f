//! An agent as its two faces show it.

use bailiwick_control::ControlError;
use bailiwick_model::{AgentId, EnvironmentId};
use bailiwick_store::{Agent, StoreError};
use bailiwick_wire::AgentParts;
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
    pub(crate) fn of(agent: &'a Agent) -> Result<Self, Failure> {
        Ok(Self {
            wire: WireAgent::of(agent)?,
            environment_id: agent.environment.as_ref(),
            revision: agent.revision,
        })
    }
}
