//! An agent that somebody declared, beside the one that is stored.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{AgentBody, Delegate, Own};

/// What a body has, of everything that a server shows of an agent.
const FIELDS: [&str; 10] = [
    "name",
    "description",
    "system",
    "model",
    "tools",
    "mcp_servers",
    "skills",
    "multiagent",
    "execution_identity",
    "metadata",
];

impl AgentBody {
    /// The body of a request that makes it, every default resolved.
    pub fn to_request(&self) -> Map<String, Value> {
        let config = serde_json::to_value(&self.config);
        let Ok(Value::Object(mut body)) = config else {
            unreachable!("texts, booleans, numbers, lists and maps")
        };
        body.insert("name".to_owned(), self.name.clone().into());
        let pair = |(key, value): (&String, &String)| (key.clone(), value.clone().into());
        let metadata = self.metadata.iter().map(pair).collect();
        body.insert("metadata".to_owned(), Value::Object(metadata));
        body
    }

    /// Reads an agent as a server shows it; nothing if it has what no body has.
    pub fn of_answer(agent: &Value) -> Option<Self> {
        let field = |name: &str| Some((name.to_owned(), agent.get(name)?.clone()));
        let body: Map<_, _> = FIELDS.into_iter().filter_map(field).collect();
        Self::create(&body).ok()
    }

    /// What is stored if nothing but the versions that it does not name is as stored: those of others, and its own.
    #[must_use]
    pub fn pinned_as(&self, stored: &Self, own: Own<'_>) -> Self {
        let (mut pinned, mut stored) = (self.clone(), stored.clone());
        let Some(mut multiagent) = pinned.config.multiagent.take() else {
            return pinned;
        };
        let stored = stored.config.multiagent.as_mut();
        let version = |(_, delegate): (String, &mut Delegate)| match delegate {
            Delegate::Agent(reference) => Some((reference.id.clone(), reference.version?)),
            Delegate::Own | Delegate::Advisor { .. } => None,
        };
        let versions: BTreeMap<_, _> = stored
            .into_iter()
            .flat_map(|multiagent| multiagent.delegates_mut())
            .filter_map(version)
            .collect();
        for (_, delegate) in multiagent.delegates_mut() {
            if let Delegate::Agent(reference) = delegate {
                let stored = versions.get(&reference.id).copied();
                reference.version = reference.version.or(stored);
            }
        }
        pinned.config.multiagent = Some(multiagent.at(own));
        pinned
    }
}
