//! What a server has, as far as it can be declared.

use std::collections::BTreeMap;

use bailiwick_model::AgentId;
use bailiwick_wire::AgentBody;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::client::{
    AGENTS, Client, Collection, ENVIRONMENTS, KNOWLEDGE_CONNECTORS, LLM_PROXIES, MEMBERS, TEAMS,
};

/// Environments and agents that are not archived, what is spent by them and what is known in them; teams and members, which limits may be for.
#[derive(Debug, Default)]
pub(super) struct Present {
    pub(super) environments: Vec<PresentEnvironment>,
    pub(super) agents: Vec<PresentAgent>,
    pub(super) llm_proxies: Vec<PresentLlmProxy>,
    pub(super) limits: Vec<PresentLimit>,
    pub(super) teams: Vec<PresentTeam>,
    pub(super) members: Vec<PresentMember>,
    pub(super) knowledge: Vec<PresentKnowledgeConnector>,
}

/// What of it is compared besides environments and agents.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// Proxies and limits, with what limits may be for.
    pub(super) spending: bool,
    /// Knowledge connectors.
    pub(super) knowledge: bool,
}

/// A knowledge connector.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct PresentKnowledgeConnector {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) environment_id: String,
    pub(super) source: Value,
    pub(super) credential: Option<Value>,
    pub(super) schedule: Option<Value>,
    pub(super) apply_set: Option<String>,
    pub(super) version: i64,
}

/// An LLM proxy.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct PresentLlmProxy {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) environment_id: String,
    pub(super) models: Vec<String>,
    pub(super) apply_set: Option<String>,
    pub(super) version: i64,
}

/// A limit.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct PresentLimit {
    pub(super) id: String,
    pub(super) name: Option<String>,
    pub(super) entity: PresentEntity,
    pub(super) environment_id: Option<String>,
    pub(super) max_cost_usd: Option<String>,
    pub(super) max_tokens: Option<i64>,
    pub(super) window: String,
    pub(super) enforcement: String,
    pub(super) models: Vec<String>,
    pub(super) thresholds: Vec<u16>,
    pub(super) apply_set: Option<String>,
    pub(super) version: i64,
}

/// Whose spending a limit holds down.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct PresentEntity {
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) id: Option<String>,
}

/// A team.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct PresentTeam {
    pub(super) id: String,
    pub(super) name: String,
}

/// A member.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct PresentMember {
    pub(super) user_id: String,
    pub(super) email: String,
}

/// An environment, as the administration shows it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct PresentEnvironment {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) config: Map<String, Value>,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) restricted: bool,
    pub(super) namespace: Option<String>,
    pub(super) inherits_policy: bool,
    pub(super) version: i64,
}

/// An agent, as the administration shows it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct PresentAgent {
    pub(super) id: AgentId,
    pub(super) name: String,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) environment_id: Option<String>,
    pub(super) version: i64,
    /// Counts changes of its place, too.
    pub(super) revision: i64,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl PresentAgent {
    /// What the wire knows of it; nothing if it is more than this program knows.
    pub(super) fn body(&self) -> Option<AgentBody> {
        let mut whole = self.rest.clone();
        let pair = |(key, value): (&String, &String)| (key.clone(), value.clone().into());
        let metadata = self.metadata.iter().map(pair).collect();
        whole.insert("name".to_owned(), self.name.clone().into());
        whole.insert("metadata".to_owned(), Value::Object(metadata));
        AgentBody::of_answer(&Value::Object(whole))
    }
}

/// Reads it all, page by page.
pub(super) fn read(client: &Client, wanted: Wanted) -> anyhow::Result<Present> {
    let mut present = Present {
        environments: all(client, &ENVIRONMENTS)?,
        agents: all(client, &AGENTS)?,
        ..Present::default()
    };
    if wanted.knowledge {
        present.knowledge = all(client, &KNOWLEDGE_CONNECTORS)?;
    }
    if !wanted.spending {
        return Ok(present);
    }
    let limits = client.list(&["api", "limits"], "1000", &[])?;
    let limits = limits.into_iter().map(serde_json::from_value);
    Ok(Present {
        llm_proxies: all(client, &LLM_PROXIES)?,
        limits: limits
            .collect::<Result<_, _>>()
            .map_err(|_| client.not_understood())?,
        teams: all(client, &TEAMS)?,
        members: all(client, &MEMBERS)?,
        ..present
    })
}

fn all<T: for<'de> Deserialize<'de>>(client: &Client, of: &Collection) -> anyhow::Result<Vec<T>> {
    let list = client.all(of, &[])?.into_iter().map(serde_json::from_value);
    let list = list.collect::<Result<_, _>>();
    Ok(list.map_err(|_| client.not_understood())?)
}
