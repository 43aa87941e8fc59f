//! What works together stays in one environment: where something is written or moved across its border, this is what stands in the way.

use bailiwick_model::limits::DETACH_HUNDREDS;
use bailiwick_model::{AgentId, EnvironmentId};
use bailiwick_store::{Agent, Change, DelegationAcross};
use serde::Serialize;

use crate::agents::without_delegate;
use crate::caller::Caller;
use crate::error::ControlError;

/// How something stands in the way. What is bound to its environment has a line here and one in `conflicts`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ConflictKind {
    /// An agent of a session that was placed elsewhere.
    Agent,
    /// An agent elsewhere that the agent delegates to.
    Delegate,
    /// An agent elsewhere that delegates to the agent.
    Delegator,
    /// A virtual key of a proxy that counts for an agent elsewhere.
    VirtualKey,
    /// An MCP server elsewhere that a gateway names.
    McpCatalogEntry,
    /// A gateway elsewhere that names the MCP server.
    McpGateway,
}

/// One thing that would stop matching.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Conflict {
    /// How it stands in the way.
    pub kind: ConflictKind,
    /// Which one.
    pub id: String,
}

/// What becomes of what stands in the way of a move.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnConflict {
    /// It stays, and the move is refused.
    #[default]
    Refuse,
    /// What would stop matching is let go.
    Detach,
}

/// What of an agent would stop matching if it were in this environment: at most 100 of each kind.
async fn conflicts(
    change: &mut Change,
    id: &AgentId,
    environment: &EnvironmentId,
) -> Result<Vec<Conflict>, ControlError> {
    let DelegationAcross {
        delegates,
        delegators,
    } = change.delegation_across(id, environment).await?;
    let of = |kind| {
        move |id: &AgentId| Conflict {
            kind,
            id: id.to_string(),
        }
    };
    let delegates = delegates.iter().map(of(ConflictKind::Delegate));
    let delegators = delegators.iter().map(of(ConflictKind::Delegator));
    let keys = change.virtual_keys_of_agent_across(id, environment).await?;
    let keys = keys.iter().map(|key| Conflict {
        kind: ConflictKind::VirtualKey,
        id: key.to_string(),
    });
    Ok(delegates.chain(delegators).chain(keys).collect())
}

/// Goes on only if nothing of the agent reaches across the border of its environment.
pub(crate) async fn stay_in_one_environment(
    change: &mut Change,
    agent: &Agent,
) -> Result<(), ControlError> {
    let Some(environment) = &agent.environment else {
        return Ok(());
    };
    let conflicts = conflicts(change, &agent.id, environment).await?;
    if conflicts.is_empty() {
        return Ok(());
    }
    Err(ControlError::AcrossEnvironments {
        kind: "agent",
        conflicts,
    })
}

/// Lets go what would stop matching if the agent were in this environment: new versions of the agents, without each other. The agent as it
/// is then. What is too much for one move stays, and stands in its way.
pub(crate) async fn detach(
    change: &mut Change,
    caller: &Caller,
    agent: Agent,
    environment: &EnvironmentId,
) -> Result<Agent, ControlError> {
    let mut agent = agent;
    let keys = change.virtual_keys_of_agent_across(&agent.id, environment);
    for key in keys.await? {
        change.detach_virtual_key(&key).await?;
    }
    for _ in 0..DETACH_HUNDREDS {
        let DelegationAcross {
            delegates,
            delegators,
        } = change.delegation_across(&agent.id, environment).await?;
        if delegates.is_empty() && delegators.is_empty() {
            break;
        }
        if !delegates.is_empty() {
            agent = without_delegate(change, caller, agent, &delegates).await?;
        }
        let moved = [agent.id.clone()].into();
        for id in &delegators {
            let delegator = change.agent(id).await?;
            let delegator = delegator.ok_or(ControlError::NotFound("agent"))?;
            without_delegate(change, caller, delegator, &moved).await?;
        }
    }
    Ok(agent)
}
