//! What a server has, as far as it can be declared.

use std::collections::BTreeMap;

use bailiwick_model::AgentId;
use bailiwick_wire::AgentBody;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::client::{AGENTS, Client, Collection, ENVIRONMENTS};

/// Environments and agents that are not archived.
#[derive(Debug, Default)]
pub(super) struct Present {
    pub(super) environments: Vec<PresentEnvironment>,
    pub(super) agents: Vec<PresentAgent>,
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
pub(super) fn read(client: &Client) -> anyhow::Result<Present> {
    Ok(Present {
        environments: all(client, &ENVIRONMENTS)?,
        agents: all(client, &AGENTS)?,
    })
}

fn all<T: for<'de> Deserialize<'de>>(client: &Client, of: &Collection) -> anyhow::Result<Vec<T>> {
    let list = client.all(of, &[])?.into_iter().map(serde_json::from_value);
    let list = list.collect::<Result<_, _>>();
    Ok(list.map_err(|_| client.not_understood())?)
}
