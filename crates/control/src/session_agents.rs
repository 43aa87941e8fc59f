//! Whose session it is: the version of an agent that is pinned, with what is different in the session, and all that it may delegate to.

use std::collections::BTreeMap;

use bailiwick_model::limits::AGENT_SKILLS;
use bailiwick_model::{AgentId, EnvironmentId, ResourceId as _};
use bailiwick_policy::HostPattern;
use bailiwick_store::Agent;
use bailiwick_wire::{
    AgentBody, AgentOverrides, Delegate, FieldProblem, SessionAgent, SessionAgentReference,
    StoredAgent,
};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::caller::Caller;
use crate::conflicts::{Conflict, ConflictKind};
use crate::control::Control;
use crate::error::ControlError;
use crate::sessions::corrupt;

const KIND: &str = "agent";

/// The agent of a session.
pub(crate) struct PinnedAgent {
    pub(crate) id: AgentId,
    pub(crate) version: i64,
    /// As the session shows it.
    pub(crate) shown: Value,
}

/// One whom it may delegate to.
struct Member {
    agent: Agent,
    body: AgentBody,
}

impl Control {
    /// The agent that a session in this environment is to be of.
    pub(crate) async fn session_agent(
        &self,
        caller: &Caller,
        reference: &SessionAgentReference,
        environment: &EnvironmentId,
    ) -> Result<PinnedAgent, ControlError> {
        let missing = |_| ControlError::NotFound(KIND);
        let id: AgentId = reference.id.parse().map_err(missing)?;
        let agent = self.agent(caller, &id, reference.version).await?;
        if agent.archived_at.is_some() {
            return Err(ControlError::Archived(KIND));
        }
        let body = reference.overrides.apply(stored(&agent)?)?;
        let members = self.members_of(caller, &agent, &body).await?;
        let together = std::iter::once(&agent).chain(members.values().map(|one| &one.agent));
        let elsewhere = |agent: &&Agent| {
            let place = agent.environment.as_ref();
            place.is_some_and(|place| place != environment)
        };
        let conflict = |agent: &Agent| Conflict {
            kind: ConflictKind::Agent,
            id: agent.id.to_string(),
        };
        let conflicts: Vec<_> = together.filter(elsewhere).map(conflict).collect();
        if !conflicts.is_empty() {
            let kind = "session";
            return Err(ControlError::AcrossEnvironments { kind, conflicts });
        }
        count_skills(&body, &members)?;
        Ok(PinnedAgent {
            shown: shown(&agent, &body, &members),
            id: agent.id,
            version: agent.version,
        })
    }

    /// The other agents that a body delegates to, by id and version.
    async fn members_of(
        &self,
        caller: &Caller,
        agent: &Agent,
        body: &AgentBody,
    ) -> Result<BTreeMap<(String, i64), Member>, ControlError> {
        let mut multiagent = body.config.multiagent.clone();
        let delegates = multiagent.iter_mut().flat_map(|one| one.delegates_mut());
        let mut members = BTreeMap::new();
        for (_, delegate) in delegates {
            let Delegate::Agent(reference) = delegate else {
                continue;
            };
            let version = reference.version.ok_or_else(|| corrupt("config"))?;
            if reference.id == agent.id && version == agent.version {
                continue;
            }
            let found = self.agent(caller, &reference.id, Some(version)).await?;
            let body = AgentOverrides::default().apply(stored(&found)?)?;
            let member = Member { agent: found, body };
            members.insert((reference.id.to_string(), version), member);
        }
        Ok(members)
    }
}

fn shown(agent: &Agent, body: &AgentBody, members: &BTreeMap<(String, i64), Member>) -> Value {
    let own = SessionAgent::of(agent.id.as_str(), agent.version, &body.name, &body.config);
    let resolve = |id: &str, version: i64| {
        if id == agent.id.as_str() && version == agent.version {
            return Some(own.clone());
        }
        let member = members.get(&(id.to_owned(), version))?;
        let body = &member.body;
        Some(SessionAgent::of(id, version, &body.name, &body.config))
    };
    own.clone().with_delegates(&body.config, &resolve)
}

/// A session has as many skills as one agent may, those of all its agents together.
fn count_skills(
    body: &AgentBody,
    members: &BTreeMap<(String, i64), Member>,
) -> Result<(), ControlError> {
    let bodies = std::iter::once(body).chain(members.values().map(|one| &one.body));
    let skills: std::collections::BTreeSet<_> = bodies
        .flat_map(|body| &body.config.skills)
        .map(|skill| (&skill.skill_id, &skill.version))
        .collect();
    if skills.len() <= AGENT_SKILLS {
        return Ok(());
    }
    Err(ControlError::Invalid(vec![FieldProblem {
        field: "agent".to_owned(),
        code: "too_much",
        message: format!(
            "a session has at most {AGENT_SKILLS} skills, those of all its agents together {}",
            skills.len()
        ),
        help: "leave some out, or delegate to fewer agents".to_owned(),
    }]))
}

fn stored(agent: &Agent) -> Result<StoredAgent, ControlError> {
    let map = |text: &str, column| serde_json::from_str(text).map_err(|_| corrupt(column));
    Ok(StoredAgent {
        name: agent.values.name.clone(),
        config: map(&agent.values.config, "config")?,
        metadata: map(&agent.values.metadata, "metadata")?,
    })
}

/// The hosts of the MCP servers of an agent, as the session shows it. What is no host that a rule could name opens nothing.
pub(crate) fn mcp_hosts(agent: &str) -> Result<Vec<HostPattern>, ControlError> {
    #[derive(Deserialize)]
    struct Agent {
        #[serde(default)]
        mcp_servers: Vec<Server>,
    }
    #[derive(Deserialize)]
    struct Server {
        url: String,
    }
    let agent: Agent = serde_json::from_str(agent).map_err(|_| corrupt("agent"))?;
    let hosts = agent.mcp_servers.iter().filter_map(|server| {
        let url = Url::parse(&server.url).ok()?;
        let port = url.port_or_known_default()?;
        format!("{}:{port}", url.host_str()?).parse().ok()
    });
    Ok(hosts.collect())
}
