//! `/api/usage` and `/api/usage-records`: what was used; `/api/spend-settings`: what holds for all limits.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Json, Response};
use bailiwick_control::{Control, SpendSettingsChange, SpendSettingsView, UsageBy, dollars};
use bailiwick_llm::ModelPrice;
use bailiwick_model::limits::TIME_ZONE_CHARS;
use bailiwick_model::{AgentId, EnvironmentId, Permission, UsageRecordId, UserId};
use bailiwick_store::{Spent, UsageFilter, UsageGroup, UsageRecord, UsageSum};
use bailiwick_wire::Schema;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::authenticated::Authenticated;
use crate::body::{JsonBody, Parameters};
use crate::failure::Failure;
use crate::operation::{Operation, Routes, get, patch};
use crate::v1::cursor::{cursor, page_request};

/// The most of a page.
const MOST: u32 = 1000;

pub(super) fn routes() -> Routes {
    use Permission as P;
    let sums = get("sums", "/usage", sums)
        .says("Sums of what was used: by environment, agent, user, model, proxy or key, the dearest first; or by day.")
        .needs(P::UsageRead)
        .query("by", Schema::words(By::WORDS));
    let records = get("records", "/usage-records", records)
        .says("What each request to a model took, the newest first.")
        .needs(P::UsageRead);
    Routes::of("usage")
        .add(
            filtered(sums).answers(Schema::answer().has("data", Schema::list(sum_schema()))),
        )
        .add(filtered(records).pages(MOST).lists(record_schema()))
        .add(
            get("retrieve_settings", "/spend-settings", retrieve)
                .says("Where the organization's days begin, and what models cost there that do not cost what the table says.")
                .needs(P::LimitRead)
                .answers(settings_schema()),
        )
        .add(
            patch("update_settings", "/spend-settings", update)
                .says("Changes these: what is absent stays. What was spent keeps its cost.")
                .needs(P::LimitAdmin)
                .takes(SettingsBody::schema())
                .answers(settings_schema()),
        )
}

fn filtered(operation: Operation) -> Operation {
    operation
        .query("from", Schema::moment())
        .query("until", Schema::moment())
        .query("environment_id", Schema::id::<EnvironmentId>())
        .query("user_id", Schema::id::<UserId>())
        .query("agent_id", Schema::id::<AgentId>())
        .query("model", Schema::text())
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum By {
    Environment,
    Agent,
    User,
    #[default]
    Model,
    LlmProxy,
    Key,
    Day,
}

impl By {
    const WORDS: [&'static str; 7] = [
        "environment",
        "agent",
        "user",
        "model",
        "llm_proxy",
        "key",
        "day",
    ];
}

impl From<By> for UsageBy {
    fn from(by: By) -> Self {
        match by {
            By::Environment => Self::Group(UsageGroup::Environment),
            By::Agent => Self::Group(UsageGroup::Agent),
            By::User => Self::Group(UsageGroup::User),
            By::Model => Self::Group(UsageGroup::Model),
            By::LlmProxy => Self::Group(UsageGroup::LlmProxy),
            By::Key => Self::Group(UsageGroup::Key),
            By::Day => Self::Day,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SumParameters {
    #[serde(default)]
    by: By,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
    environment_id: Option<EnvironmentId>,
    user_id: Option<UserId>,
    agent_id: Option<AgentId>,
    model: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordParameters {
    limit: Option<u32>,
    page: Option<String>,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
    environment_id: Option<EnvironmentId>,
    user_id: Option<UserId>,
    agent_id: Option<AgentId>,
    model: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SettingsBody {
    #[serde(default, deserialize_with = "present")]
    time_zone: Option<Option<String>>,
    model_prices: Option<BTreeMap<String, ModelPrice>>,
}

/// `null` is a value of its own.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

fn price() -> Schema {
    let rate = || Schema::text().says("Dollars for a million tokens.");
    Schema::object()
        .needs("input", rate())
        .needs("output", rate())
        .may("cache_read", rate())
        .may("cache_write_5m", rate())
        .may("cache_write_1h", rate())
        .may("context_tokens", Schema::count())
        .may("output_tokens", Schema::count())
        .named("ModelPrice")
}

impl SettingsBody {
    fn schema() -> Schema {
        let zone = Schema::chars(1..=TIME_ZONE_CHARS)
            .says("A name of the IANA time zone database; null is UTC.");
        let prices = Schema::map(price()).says("All prices that are not the table's, by model.");
        Schema::object()
            .may_be("time_zone", zone)
            .may_be("model_prices", prices)
            .example(json!({"time_zone": "Europe/Berlin"}))
            .named("SpendSettingsChange")
    }
}

fn settings_schema() -> Schema {
    Schema::answer()
        .has("time_zone", Schema::text().or_null())
        .has("model_prices", Schema::map(Schema::any()))
        .named("SpendSettings")
}

fn spent_schema(schema: Schema) -> Schema {
    let count = || Schema::version();
    schema
        .has("input_tokens", count())
        .has("output_tokens", count())
        .has("cache_read_tokens", count())
        .has("cache_5m_tokens", count())
        .has("cache_1h_tokens", count())
        .has("cost_usd", Schema::text())
}

fn sum_schema() -> Schema {
    let schema = Schema::answer()
        .has("of", Schema::text().or_null())
        .has("requests", Schema::version())
        .has(
            "estimated",
            Schema::version().says("How many of them have a guessed cost."),
        );
    spent_schema(schema).named("UsageSum")
}

fn record_schema() -> Schema {
    let kinds = ["told", "streamed", "unknown", "expired"];
    let schema = Schema::answer()
        .has("id", Schema::id::<UsageRecordId>())
        .has("at", Schema::moment())
        .has(
            "kind",
            Schema::words(kinds).says("How it is known: the provider said it; it was cut off and counted from what was streamed; nobody knows, or the server ended meanwhile, and it counts as its worst case."),
        )
        .has("environment_id", Schema::text())
        .has("agent_id", Schema::text().or_null())
        .has("user_id", Schema::text().or_null())
        .has("team_ids", Schema::list(Schema::text()))
        .has("key_id", Schema::text().or_null())
        .has("llm_proxy_id", Schema::text().or_null())
        .has("session_id", Schema::text().or_null())
        .has("upstream_id", Schema::text().or_null())
        .has("model", Schema::text())
        .has("upstream_model", Schema::text())
        .has("is_estimated", Schema::boolean())
        .has("prices", Schema::any())
        .has("status", Schema::count().or_null());
    spent_schema(schema).named("UsageRecord")
}

fn with_spent(mut value: Value, spent: &Spent) -> Value {
    value["input_tokens"] = json!(spent.input_tokens);
    value["output_tokens"] = json!(spent.output_tokens);
    value["cache_read_tokens"] = json!(spent.cache_read_tokens);
    value["cache_5m_tokens"] = json!(spent.cache_5m_tokens);
    value["cache_1h_tokens"] = json!(spent.cache_1h_tokens);
    value["cost_usd"] = json!(dollars(spent.cost_nanos));
    value
}

fn sum_json(sum: &UsageSum) -> Value {
    let value = json!({"of": sum.of, "requests": sum.requests, "estimated": sum.estimated});
    with_spent(value, &sum.spent)
}

fn record_json(record: &UsageRecord) -> Value {
    let spender = &record.spender;
    let value = json!({
        "id": record.id,
        "at": record.at,
        "kind": record.kind,
        "environment_id": spender.environment,
        "agent_id": spender.agent,
        "user_id": spender.user,
        "team_ids": spender.teams,
        "key_id": spender.key,
        "llm_proxy_id": spender.llm_proxy,
        "session_id": spender.session,
        "upstream_id": record.upstream,
        "model": record.model,
        "upstream_model": record.upstream_model,
        "is_estimated": record.is_estimated,
        "prices": serde_json::from_str::<Value>(&record.prices).unwrap_or_default(),
        "status": record.status,
    });
    with_spent(value, &record.spent)
}

async fn sums(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    Parameters(asked): Parameters<SumParameters>,
) -> Result<Response, Failure> {
    let filter = UsageFilter {
        from: asked.from.unwrap_or(Timestamp::UNIX_EPOCH),
        until: asked.until.unwrap_or(Timestamp::MAX),
        environment: asked.environment_id,
        user: asked.user_id,
        agent: asked.agent_id,
        model: asked.model,
    };
    let found = control.usage(&caller, asked.by.into(), &filter).await?;
    let data: Vec<_> = found.iter().map(sum_json).collect();
    Ok(Json(json!({"data": data})).into_response())
}

async fn records(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    Parameters(asked): Parameters<RecordParameters>,
) -> Result<Response, Failure> {
    let page = page_request(asked.limit, MOST, asked.page.as_deref())?;
    let filter = UsageFilter {
        from: asked.from.unwrap_or(Timestamp::UNIX_EPOCH),
        until: asked.until.unwrap_or(Timestamp::MAX),
        environment: asked.environment_id,
        user: asked.user_id,
        agent: asked.agent_id,
        model: asked.model,
    };
    let found = control.usage_records(&caller, &filter, &page).await?;
    let data: Vec<_> = found.items.iter().map(record_json).collect();
    Ok(Json(json!({"data": data, "next_page": cursor(found.next.as_ref())})).into_response())
}

fn settings_json(view: &SpendSettingsView) -> Response {
    Json(json!({"time_zone": view.time_zone, "model_prices": view.model_prices})).into_response()
}

async fn retrieve(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
) -> Result<Response, Failure> {
    Ok(settings_json(&control.spend_settings(&caller).await?))
}

async fn update(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    JsonBody(body): JsonBody<SettingsBody>,
) -> Result<Response, Failure> {
    let request = SpendSettingsChange {
        time_zone: body.time_zone,
        model_prices: body.model_prices,
    };
    let changed = control.change_spend_settings(&caller, request).await?;
    Ok(settings_json(&changed))
}
