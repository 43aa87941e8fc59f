//! What requests to models took, one row for each.

use std::sync::LazyLock;

use bailiwick_model::{
    AgentId, ApiKeyId, EnvironmentId, LlmProxyId, ModelUpstreamId, OrganizationId, ResourceId as _,
    SessionId, TeamId, UsageKind, UsageRecordId, UserId,
};
use jiff::Timestamp;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AssertSqlSafe};

use crate::change::Change;
use crate::error::StoreError;
use crate::page::{Page, PageRequest};
use crate::row::Columns;
use crate::store::{Scope, Store};
use crate::transaction::Transaction;

/// Who spends: what a limit can be for. It is that of the moment at which a request is made, whatever moves later.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Spender {
    /// Where.
    pub environment: EnvironmentId,
    /// For which agent.
    pub agent: Option<AgentId>,
    /// For which user.
    pub user: Option<UserId>,
    /// The user's teams.
    pub teams: Vec<TeamId>,
    /// With which key.
    pub key: Option<ApiKeyId>,
    /// Through which proxy.
    pub llm_proxy: Option<LlmProxyId>,
    /// In which session.
    pub session: Option<SessionId>,
}

/// Tokens, and what they cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Spent {
    /// Input that no cache had or keeps.
    pub input_tokens: i64,
    /// Output.
    pub output_tokens: i64,
    /// Input that came from the cache.
    pub cache_read_tokens: i64,
    /// Input that the cache keeps for five minutes.
    pub cache_5m_tokens: i64,
    /// Input that the cache keeps for an hour.
    pub cache_1h_tokens: i64,
    /// In billionths of a dollar.
    pub cost_nanos: i64,
}

impl Spent {
    /// All tokens.
    pub fn tokens(&self) -> i64 {
        self.input_tokens
            .saturating_add(self.output_tokens)
            .saturating_add(self.cache_read_tokens)
            .saturating_add(self.cache_5m_tokens)
            .saturating_add(self.cache_1h_tokens)
    }
}

/// What one request took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageRecord {
    /// Its id, which the request had from its beginning.
    pub id: UsageRecordId,
    /// When the request was made.
    pub at: Timestamp,
    /// How it is known what it took.
    pub kind: UsageKind,
    /// Who spent.
    pub spender: Spender,
    /// Who answered, if one of the organization's own did.
    pub upstream: Option<ModelUpstreamId>,
    /// Which model was asked for.
    pub model: String,
    /// What the upstream calls it.
    pub upstream_model: String,
    /// What it took.
    pub spent: Spent,
    /// What tokens cost then, as JSON; empty if the model had no price.
    pub prices: String,
    /// Whether the cost is a guess, for want of a price.
    pub is_estimated: bool,
    /// The HTTP status that the upstream answered with, if it answered.
    pub status: Option<u16>,
}

/// What a report is grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageGroup {
    /// Environment.
    Environment,
    /// Agent.
    Agent,
    /// User.
    User,
    /// Model.
    Model,
    /// Proxy.
    LlmProxy,
    /// Key.
    Key,
}

/// Which records are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageFilter {
    /// From this moment on.
    pub from: Timestamp,
    /// Before this one.
    pub until: Timestamp,
    /// Of one environment.
    pub environment: Option<EnvironmentId>,
    /// Of one user.
    pub user: Option<UserId>,
    /// Of one agent.
    pub agent: Option<AgentId>,
    /// Of one model.
    pub model: Option<String>,
}

/// Sums of records that have something in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageSum {
    /// What they have in common; `None` is none.
    pub of: Option<String>,
    /// How many requests.
    pub requests: i64,
    /// What they took.
    pub spent: Spent,
    /// How many of them have a guessed cost.
    pub estimated: i64,
}

/// What was spent in a part of a window, by whom and of which model: for counting a limit anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageOfBucket {
    /// The beginning of the part, in seconds.
    pub starts_at: i64,
    /// Of which model, as it was asked for and as the upstream calls it.
    pub models: [String; 2],
    /// By which user.
    pub user: Option<UserId>,
    /// Money, in billionths of a dollar.
    pub cost_nanos: i64,
    /// Tokens.
    pub tokens: i64,
}

/// Columns of a row that is inserted.
const COLUMNS: usize = 23;
/// Rows of one statement, where there are many.
const ROWS: usize = 64;

macro_rules! columns {
    () => {
        "id, organization_id, at, kind, environment_id, agent_id, user_id, team_ids, key_id, llm_proxy_id, session_id, upstream_id, model, upstream_model, \
         input_tokens, output_tokens, cache_read_tokens, cache_5m_tokens, cache_1h_tokens, cost_nanos, prices, is_estimated, status"
    };
}

static INSERT_ONE: LazyLock<String> = LazyLock::new(|| insert_of(1));
static INSERT_MANY: LazyLock<String> = LazyLock::new(|| insert_of(ROWS));

/// A statement with so many rows: sending one for each takes longer than writing it.
fn insert_of(rows: usize) -> String {
    let row = |row: usize| {
        let numbers = (1..=COLUMNS).map(|column| format!("${}", row * COLUMNS + column));
        format!("({})", numbers.collect::<Vec<_>>().join(", "))
    };
    let rows: Vec<_> = (0..rows).map(row).collect();
    format!(
        concat!(
            "INSERT INTO usage_record (",
            columns!(),
            ") VALUES {} ON CONFLICT (organization_id, id) DO NOTHING"
        ),
        rows.join(", ")
    )
}

pub(crate) async fn insert_all(
    transaction: &mut Transaction,
    organization: &OrganizationId,
    records: &[UsageRecord],
) -> Result<(), StoreError> {
    let mut many = records.chunks_exact(ROWS);
    for some in &mut many {
        insert(transaction, organization, some, INSERT_MANY.as_str()).await?;
    }
    for one in many.remainder().chunks(1) {
        insert(transaction, organization, one, INSERT_ONE.as_str()).await?;
    }
    Ok(())
}

async fn insert(
    transaction: &mut Transaction,
    organization: &OrganizationId,
    records: &[UsageRecord],
    sql: &'static str,
) -> Result<(), StoreError> {
    // Numbers of columns alone are made, above.
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for record in records {
        query = bound(query, organization, record);
    }
    query.execute(transaction.connection()).await?;
    Ok(())
}

fn bound<'q>(
    query: Query<'q, Any, AnyArguments>,
    organization: &OrganizationId,
    record: &UsageRecord,
) -> Query<'q, Any, AnyArguments> {
    fn text<T: ToString>(id: Option<&T>) -> Option<String> {
        id.map(ToString::to_string)
    }
    let (spender, spent) = (&record.spender, &record.spent);
    query
        .bind(record.id.to_string())
        .bind(organization.to_string())
        .bind(record.at.as_microsecond())
        .bind(record.kind.as_str())
        .bind(spender.environment.to_string())
        .bind(text(spender.agent.as_ref()))
        .bind(text(spender.user.as_ref()))
        .bind(team_ids(&spender.teams))
        .bind(text(spender.key.as_ref()))
        .bind(text(spender.llm_proxy.as_ref()))
        .bind(text(spender.session.as_ref()))
        .bind(text(record.upstream.as_ref()))
        .bind(record.model.clone())
        .bind(record.upstream_model.clone())
        .bind(spent.input_tokens)
        .bind(spent.output_tokens)
        .bind(spent.cache_read_tokens)
        .bind(spent.cache_5m_tokens)
        .bind(spent.cache_1h_tokens)
        .bind(spent.cost_nanos)
        .bind(record.prices.clone())
        .bind(i64::from(record.is_estimated))
        .bind(record.status.map(i64::from))
}

/// Each with a comma before and after it, so that one can be searched for.
fn team_ids(teams: &[TeamId]) -> String {
    let mut text = String::new();
    for team in teams {
        text.push(',');
        text.push_str(&team.to_string());
    }
    if !text.is_empty() {
        text.push(',');
    }
    text
}

fn teams_of(text: &str) -> Result<Vec<TeamId>, StoreError> {
    let ids = text.split(',').filter(|id| !id.is_empty());
    let read = |id: &str| {
        id.parse()
            .map_err(|_| StoreError::Corrupt { column: "team_ids" })
    };
    ids.map(read).collect()
}

/// The first id of a moment: records are found by their ids, which sort by time, so that they need no other index.
fn first_id(at: Timestamp) -> String {
    let millis = u64::try_from(at.as_millisecond()).unwrap_or(0);
    UsageRecordId::made(millis, [0; 10]).to_string()
}

fn spent(row: &AnyRow) -> Result<Spent, StoreError> {
    Ok(Spent {
        input_tokens: row.value("input_tokens")?,
        output_tokens: row.value("output_tokens")?,
        cache_read_tokens: row.value("cache_read_tokens")?,
        cache_5m_tokens: row.value("cache_5m_tokens")?,
        cache_1h_tokens: row.value("cache_1h_tokens")?,
        cost_nanos: row.value("cost_nanos")?,
    })
}

impl UsageRecord {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        let status = row.value::<Option<i64>>("status")?;
        let status = status.map(u16::try_from).transpose();
        Ok(Self {
            id: row.id("id")?,
            at: row.time("at")?,
            kind: row.word("kind")?,
            spender: Spender {
                environment: row.id("environment_id")?,
                agent: row.optional_id("agent_id")?,
                user: row.optional_id("user_id")?,
                teams: teams_of(&row.value::<String>("team_ids")?)?,
                key: row.optional_id("key_id")?,
                llm_proxy: row.optional_id("llm_proxy_id")?,
                session: row.optional_id("session_id")?,
            },
            upstream: row.optional_id("upstream_id")?,
            model: row.value("model")?,
            upstream_model: row.value("upstream_model")?,
            spent: spent(row)?,
            prices: row.value("prices")?,
            is_estimated: row.flag("is_estimated")?,
            status: status.map_err(|_| StoreError::Corrupt { column: "status" })?,
        })
    }
}

/// Parameters `$2` to `$7`.
macro_rules! filtered {
    () => {
        "organization_id = $1 AND id >= $2 AND id < $3 AND ($4 = '' OR environment_id = $4) AND ($5 = '' OR user_id = $5) \
         AND ($6 = '' OR agent_id = $6) AND ($7 = '' OR model = $7)"
    };
}

macro_rules! grouped {
    ($column:literal) => {
        concat!(
            "SELECT ",
            $column,
            " AS grouped_by, COUNT(*) AS requests, CAST(SUM(input_tokens) AS BIGINT) AS input_tokens, CAST(SUM(output_tokens) AS BIGINT) AS output_tokens, \
             CAST(SUM(cache_read_tokens) AS BIGINT) AS cache_read_tokens, CAST(SUM(cache_5m_tokens) AS BIGINT) AS cache_5m_tokens, \
             CAST(SUM(cache_1h_tokens) AS BIGINT) AS cache_1h_tokens, CAST(SUM(cost_nanos) AS BIGINT) AS cost_nanos, \
             CAST(SUM(is_estimated) AS BIGINT) AS estimated FROM usage_record WHERE ",
            filtered!(),
            " GROUP BY ",
            $column,
            " ORDER BY cost_nanos DESC, grouped_by LIMIT $8"
        )
    };
}

impl UsageGroup {
    fn sql(self) -> &'static str {
        match self {
            Self::Environment => grouped!("environment_id"),
            Self::Agent => grouped!("agent_id"),
            Self::User => grouped!("user_id"),
            Self::Model => grouped!("model"),
            Self::LlmProxy => grouped!("llm_proxy_id"),
            Self::Key => grouped!("key_id"),
        }
    }
}

fn filtered<'q>(
    query: Query<'q, Any, AnyArguments>,
    organization: &OrganizationId,
    filter: &UsageFilter,
) -> Query<'q, Any, AnyArguments> {
    let text = |id: Option<String>| id.unwrap_or_default();
    query
        .bind(organization.to_string())
        .bind(first_id(filter.from))
        .bind(first_id(filter.until))
        .bind(text(filter.environment.as_ref().map(ToString::to_string)))
        .bind(text(filter.user.as_ref().map(ToString::to_string)))
        .bind(text(filter.agent.as_ref().map(ToString::to_string)))
        .bind(text(filter.model.clone()))
}

impl Scope<'_> {
    /// Records, the newest first.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn usage_records(
        &self,
        filter: &UsageFilter,
        page: &PageRequest<UsageRecordId>,
    ) -> Result<Page<UsageRecord, UsageRecordId>, StoreError> {
        let query = sqlx::query(concat!(
            "SELECT ",
            columns!(),
            " FROM usage_record WHERE ",
            filtered!(),
            " AND id < $8 ORDER BY id DESC LIMIT $9"
        ));
        let rows = filtered(query, self.organization, filter)
            .bind(page.bound())
            .bind(page.rows())
            .fetch_all(self.pool)
            .await?;
        let items = rows.iter().map(UsageRecord::read);
        let items = items.collect::<Result<_, StoreError>>()?;
        Ok(Page::of(items, page, |one: &UsageRecord| one.id.clone()))
    }

    /// Sums of records, those of the highest cost first, at most so many.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn usage_sums(
        &self,
        group: UsageGroup,
        filter: &UsageFilter,
        most: u32,
    ) -> Result<Vec<UsageSum>, StoreError> {
        let rows = filtered(sqlx::query(group.sql()), self.organization, filter)
            .bind(i64::from(most))
            .fetch_all(self.pool)
            .await?;
        rows.iter().map(UsageSum::read).collect()
    }
}

impl Scope<'_> {
    /// The sum of records; `None` if there are none.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn usage_total(&self, filter: &UsageFilter) -> Result<Option<UsageSum>, StoreError> {
        let query = sqlx::query(grouped!("organization_id"));
        let row = filtered(query, self.organization, filter)
            .bind(1_i64)
            .fetch_optional(self.pool)
            .await?;
        row.as_ref().map(UsageSum::read).transpose()
    }
}

impl UsageSum {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            of: row.value("grouped_by")?,
            requests: row.value("requests")?,
            spent: spent(row)?,
            estimated: row.value("estimated")?,
        })
    }
}

impl Change {
    /// What those spent whom a limit is for, from a moment on, in parts of a window of so many seconds.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn usage_by_bucket(
        &mut self,
        (from, seconds): (Timestamp, i64),
        entity: (&str, Option<&str>),
        environment: Option<&EnvironmentId>,
    ) -> Result<Vec<UsageOfBucket>, StoreError> {
        let (kind, id) = entity;
        let organization = self.organization().to_string();
        let rows = sqlx::query(
            "SELECT b, model, upstream_model, user_id, CAST(SUM(cost_nanos) AS BIGINT) AS cost_nanos, CAST(SUM(tokens) AS BIGINT) AS tokens FROM ( \
             SELECT (at / (1000000 * $3)) * $3 AS b, model, upstream_model, user_id, cost_nanos, \
             input_tokens + output_tokens + cache_read_tokens + cache_5m_tokens + cache_1h_tokens AS tokens FROM usage_record \
             WHERE organization_id = $1 AND id >= $2 AND ($4 = '' OR environment_id = $4) AND (CASE $5 \
             WHEN 'team' THEN team_ids LIKE '%,' || $6 || ',%' WHEN 'user' THEN user_id = $6 WHEN 'agent' THEN agent_id = $6 \
             WHEN 'llm_proxy' THEN llm_proxy_id = $6 WHEN 'virtual_key' THEN key_id = $6 WHEN 'environment' THEN environment_id = $6 \
             WHEN 'each_user' THEN user_id IS NOT NULL ELSE 1 = 1 END)) u GROUP BY b, model, upstream_model, user_id",
        )
        .bind(organization)
        .bind(first_id(from))
        .bind(seconds)
        .bind(environment.map(ToString::to_string).unwrap_or_default())
        .bind(kind.to_owned())
        .bind(id.unwrap_or_default().to_owned())
        .fetch_all(self.connection())
        .await?;
        let read = |row: &AnyRow| {
            Ok(UsageOfBucket {
                starts_at: row.value("b")?,
                models: [row.value("model")?, row.value("upstream_model")?],
                user: row.optional_id("user_id")?,
                cost_nanos: row.value("cost_nanos")?,
                tokens: row.value("tokens")?,
            })
        };
        rows.iter().map(read).collect()
    }
}

impl Store {
    /// Deletes buckets that no window has any more: those that began before this second.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn sweep_buckets(&self, before: i64) -> Result<(), StoreError> {
        let statement = sqlx::query("DELETE FROM spend_bucket WHERE starts_at < $1").bind(before);
        self.execute(statement).await?;
        Ok(())
    }
}
