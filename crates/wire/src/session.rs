//! Sessions as requests carry them.

mod agent;
mod resources;

use std::collections::BTreeMap;

use bailiwick_model::limits;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use agent::{AgentOverrides, SessionAgent, SessionAgentReference};
pub use resources::{
    Checkout, FileMount, RepositoryMount, ResourceMount, added_resource, overlapping, rotated_token,
};

use crate::agent::pairs;
use crate::event::{UserEvent, initial_events};
use crate::json::FieldProblem;
use crate::request::{Fields, Place, Reader};
use crate::vault::merge_metadata;

/// Billionths of a dollar in a cent.
pub(crate) const NANOS_PER_CENT: i64 = 10_000_000;

/// What a body says of a session that is to be made.
#[derive(Debug, Clone)]
pub struct SessionBody {
    /// Whose session it is.
    pub agent: SessionAgentReference,
    /// Where it is to be: an id, if it is one.
    pub environment: String,
    /// What of it can be changed.
    pub values: SessionText,
    /// What it is to have.
    pub resources: Vec<ResourceMount>,
    /// Where its credentials are, in the order in which they are searched: ids, if they are ids.
    pub vaults: Vec<String>,
    /// What it begins with.
    pub events: Vec<UserEvent>,
}

/// What of a session can be changed, without its agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionText {
    /// What people call it.
    pub title: Option<String>,
    /// Free pairs; no key has a reserved prefix.
    pub metadata: BTreeMap<String, String>,
    /// What it may cost.
    pub budget: Option<Budget>,
}

/// What a session may cost, at list prices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Budget {
    /// At most so much.
    Limit {
        /// How much.
        max_list_cost: Amount,
    },
}

/// An amount of money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// Cents, in digits.
    pub amount: String,
    /// Of which money.
    pub currency: Currency,
}

/// Which money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Currency {
    /// Dollars of the United States.
    #[serde(rename = "USD")]
    Usd,
}

/// A change of a session: what is `None` stays.
#[derive(Debug, Clone)]
pub struct SessionPatch {
    /// What of it can be changed, after the change.
    pub values: SessionText,
    /// Other tools and MCP servers.
    pub agent: Option<AgentOverrides>,
}

impl SessionBody {
    /// Reads the body that makes a session.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, each with its field.
    pub fn create(body: &Map<String, Value>) -> Result<Self, Vec<FieldProblem>> {
        let mut reader = Reader::default();
        let read = reader.body(body, Self::of);
        reader.end(read)
    }

    fn of(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<Self> {
        let agent = fields.required(reader, "agent");
        let environment = fields.required(reader, "environment_id");
        let agent = agent.and_then(|place| SessionAgentReference::read(reader, &place));
        let environment =
            environment.and_then(|place| reader.text(&place, 1..=limits::REFERENCE_CHARS));
        let values = SessionText::read(reader, fields, 0);
        let resources = match fields.take("resources") {
            Some(place) => resources::read(reader, &place),
            None => Some(Vec::new()),
        };
        let vaults = match fields.take("vault_ids") {
            Some(place) => vaults(reader, &place),
            None => Some(Vec::new()),
        };
        let events = match fields.take("initial_events") {
            Some(place) => initial_events(reader, &place),
            None => Some(Vec::new()),
        };
        Some(Self {
            agent: agent?,
            environment: environment?.to_owned(),
            values: values?,
            resources: resources?,
            vaults: vaults?,
            events: events?,
        })
    }
}

impl SessionText {
    fn read(reader: &mut Reader, fields: &mut Fields<'_>, least: usize) -> Option<Self> {
        let title = match fields.take("title") {
            Some(place) => reader
                .text(&place, least..=limits::SESSION_TITLE_CHARS)
                .map(|text| Some(text.to_owned()).filter(|text| !text.is_empty())),
            None => Some(None),
        };
        let metadata = match fields.take("metadata") {
            Some(place) => pairs(reader, &place),
            None => Some(BTreeMap::new()),
        };
        let budget = match fields.take("budget") {
            Some(place) => Budget::read(reader, &place).map(Some),
            None => Some(None),
        };
        Some(Self {
            title: title?,
            metadata: metadata?,
            budget: budget?,
        })
    }

    /// Reads the body that changes a session: what is absent stays, and null clears. A budget can be changed and taken away, not added.
    ///
    /// # Errors
    ///
    /// As [`SessionBody::create`].
    pub fn update(&self, body: &Map<String, Value>) -> Result<SessionPatch, Vec<FieldProblem>> {
        let mut whole = body.clone();
        if !whole.contains_key("title")
            && let Some(title) = &self.title
        {
            whole.insert("title".to_owned(), Value::String(title.clone()));
        }
        if !whole.contains_key("budget") {
            let budget = serde_json::to_value(&self.budget).expect("texts");
            whole.insert("budget".to_owned(), budget);
        }
        merge_metadata(&mut whole, &self.metadata);
        let mut reader = Reader::default();
        let read = reader.body(&whole, |reader, fields| {
            if let Some(place) = fields.take("vault_ids") {
                let message = "the vaults of a session are those that it was made with";
                reader.refuse(&place.path, "vaults_create_only", message, "leave it out");
            }
            let agent = match fields.take("agent") {
                Some(place) => AgentOverrides::read_change(reader, &place).map(Some),
                None => Some(None),
            };
            let values = Self::read(reader, fields, 1)?;
            if self.budget.is_none() && values.budget.is_some() {
                let message = "a budget cannot be added to a session (budget_create_only)";
                let help = "make the session with a budget";
                reader.refuse("budget", "budget_create_only", message, help);
            }
            Some(SessionPatch {
                values,
                agent: agent?,
            })
        });
        reader.end(read)
    }
}

impl Budget {
    /// In billionths of a dollar.
    pub fn nanos(&self) -> i64 {
        let Self::Limit { max_list_cost } = self;
        // There are no more digits than fit.
        let cents: i64 = max_list_cost.amount.parse().unwrap_or(0);
        cents.saturating_mul(NANOS_PER_CENT)
    }

    fn read(reader: &mut Reader, place: &Place<'_>) -> Option<Self> {
        reader.object(place, |reader, fields| {
            let (kind, cost) = (
                fields.required(reader, "type"),
                fields.required(reader, "max_list_cost"),
            );
            reader.word(&kind?, &[("limit", ())])?;
            let max_list_cost = reader.object(&cost?, |reader, fields| {
                let (amount, currency) = (
                    fields.required(reader, "amount"),
                    fields.required(reader, "currency"),
                );
                let currency =
                    currency.and_then(|place| reader.word(&place, &[("USD", Currency::Usd)]));
                Some(Amount {
                    amount: cents(reader, &amount?)?,
                    currency: currency?,
                })
            })?;
            Some(Self::Limit { max_list_cost })
        })
    }
}

fn cents(reader: &mut Reader, place: &Place<'_>) -> Option<String> {
    let text = reader.text(place, 1..=limits::AMOUNT_DIGITS)?;
    let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits || text.starts_with('0') {
        let message = "is not a number of cents above 0, in digits";
        reader.refuse(
            &place.path,
            "invalid_amount",
            message,
            "write \"2500\" for 25 dollars",
        );
        return None;
    }
    Some(text.to_owned())
}

fn vaults(reader: &mut Reader, place: &Place<'_>) -> Option<Vec<String>> {
    let places = reader.list(place, 0..=limits::SESSION_VAULTS)?;
    let vaults = reader.each(&places, |reader, place| {
        let text = reader.text(place, 1..=limits::REFERENCE_CHARS)?;
        Some(text.to_owned())
    })?;
    reader.distinct(|index: usize| places[index].path.clone(), &vaults);
    Some(vaults)
}
