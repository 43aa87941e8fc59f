//! What a limit is made of, on a command line.

use std::collections::BTreeSet;

use bailiwick_model::LimitWindow;
use clap::ValueEnum;
use serde_json::{Value, json};

use crate::client::{AGENTS, Client, ENVIRONMENTS, LLM_PROXIES, MEMBERS, TEAMS};

/// What a limit says.
#[derive(Debug, clap::Args)]
pub(super) struct LimitValues {
    #[command(flatten)]
    of: Of,
    /// What people find it by.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Count only what is spent in this environment, by name or id.
    #[arg(long = "in", value_name = "ENVIRONMENT")]
    place: Option<String>,
    #[command(flatten)]
    amount: Amount,
    /// In which time: 1h, 12h, 24h, 7d, 30d, day, week_from_sunday, week_from_monday or month.
    #[arg(long, value_name = "WINDOW")]
    window: LimitWindow,
    /// Refuse what could exceed it, or only count.
    #[arg(long, value_enum, default_value_t = Enforcement::Hard)]
    enforcement: Enforcement,
    /// A model that it is about, or the beginning of names and `*`; may be given many times [default: all].
    #[arg(long = "model", value_name = "MODEL")]
    models: Vec<String>,
    /// Tell when so much of it is spent, in percent; may be given many times.
    #[arg(long = "threshold", value_name = "PERCENT")]
    thresholds: Vec<u16>,
}

/// Whose spending it holds down.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Of {
    /// For all that the organization spends.
    #[arg(long)]
    organization: bool,
    /// For each user by themselves. A limit with --in replaces it there, and one for a user alone for them.
    #[arg(long)]
    each_user: bool,
    /// For the members of a team together, by name or id.
    #[arg(long, value_name = "TEAM")]
    team: Option<String>,
    /// For one member, by address or id.
    #[arg(long, value_name = "MEMBER")]
    user: Option<String>,
    /// For one agent, by name or id.
    #[arg(long, value_name = "AGENT")]
    agent: Option<String>,
    /// For one LLM proxy, by name or id.
    #[arg(long, value_name = "PROXY")]
    llm_proxy: Option<String>,
    /// For one virtual key, by id.
    #[arg(long, value_name = "KEY")]
    virtual_key: Option<String>,
    /// For one environment, by name or id.
    #[arg(long, value_name = "ENVIRONMENT")]
    environment: Option<String>,
}

/// How much.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Amount {
    /// Dollars, such as 30 or 0.50.
    #[arg(long, value_name = "DOLLARS")]
    max_cost: Option<String>,
    /// Tokens of input and output, cached ones too.
    #[arg(long, value_name = "TOKENS")]
    max_tokens: Option<i64>,
}

/// What happens where it would be more.
#[derive(Debug, Clone, Copy, ValueEnum, serde::Serialize)]
#[serde(rename_all = "snake_case")]
enum Enforcement {
    /// Nothing is asked that could exceed it.
    Hard,
    /// It is counted.
    Soft,
}

impl LimitValues {
    /// As the server takes it.
    pub(super) fn body(&self, client: &Client) -> anyhow::Result<Value> {
        let place = self.place.as_deref();
        let place = place.map(|text| client.id_of(&ENVIRONMENTS, text));
        Ok(json!({
            "name": self.name,
            "entity": self.of.entity(client)?,
            "environment_id": place.transpose()?,
            "max_cost_usd": self.amount.max_cost,
            "max_tokens": self.amount.max_tokens,
            "window": self.window,
            "enforcement": self.enforcement,
            "models": self.models,
            "thresholds": self.thresholds.iter().collect::<BTreeSet<_>>(),
        }))
    }
}

impl Of {
    fn entity(&self, client: &Client) -> anyhow::Result<Value> {
        let named = [
            ("team", &self.team, Some(&TEAMS)),
            ("user", &self.user, Some(&MEMBERS)),
            ("agent", &self.agent, Some(&AGENTS)),
            ("llm_proxy", &self.llm_proxy, Some(&LLM_PROXIES)),
            ("virtual_key", &self.virtual_key, None),
            ("environment", &self.environment, Some(&ENVIRONMENTS)),
        ];
        for (kind, text, collection) in named {
            let Some(text) = text else { continue };
            let id = match collection {
                Some(collection) => client.id_of(collection, text)?,
                None => text.clone(),
            };
            return Ok(json!({"type": kind, "id": id}));
        }
        let kind = if self.each_user {
            "each_user"
        } else {
            "organization"
        };
        Ok(json!({ "type": kind }))
    }
}
