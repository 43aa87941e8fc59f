//! Which usage is asked for.

use jiff::Timestamp;

use crate::client::{AGENTS, Client, ENVIRONMENTS, MEMBERS};

/// What it is narrowed to.
#[derive(Debug, clap::Args)]
pub(super) struct Filter {
    /// Only from this moment on, such as 2026-12-01T00:00:00Z.
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// Only before this moment.
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// Only in this environment, by name or id; one that is gone by id.
    #[arg(long, value_name = "ENVIRONMENT")]
    environment: Option<String>,
    /// Only of this member, by address or id.
    #[arg(long, value_name = "MEMBER")]
    user: Option<String>,
    /// Only of this agent, by name or id.
    #[arg(long, value_name = "AGENT")]
    agent: Option<String>,
    /// Only of this model.
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
}

impl Filter {
    pub(super) fn query(&self, client: &Client) -> anyhow::Result<Vec<(&'static str, String)>> {
        let mut query = Vec::new();
        if let Some(from) = self.from {
            query.push(("from", from.to_string()));
        }
        if let Some(until) = self.until {
            query.push(("until", until.to_string()));
        }
        let named = [
            ("environment_id", &self.environment, &ENVIRONMENTS),
            ("user_id", &self.user, &MEMBERS),
            ("agent_id", &self.agent, &AGENTS),
        ];
        for (field, text, collection) in named {
            if let Some(text) = text {
                query.push((field, client.id_of(collection, text)?));
            }
        }
        if let Some(model) = &self.model {
            query.push(("model", model.clone()));
        }
        Ok(query)
    }
}

/// As the client takes it.
pub(super) fn borrowed<'q>(query: &'q [(&'static str, String)]) -> Vec<(&'static str, &'q str)> {
    let fields = query.iter();
    fields
        .map(|(name, value)| (*name, value.as_str()))
        .collect()
}
