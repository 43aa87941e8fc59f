//! The columns of what a session, or a thread of it, has used.

use bailiwick_model::{Activity, SessionUsage};
use sqlx::Any;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;

use crate::error::StoreError;
use crate::row::Columns;

macro_rules! usage_columns {
    () => {
        "input_tokens, output_tokens, cache_read_tokens, cache_5m_tokens, cache_1h_tokens, web_searches, web_fetches, list_cost_nanos, \
         active_micros, running_since"
    };
}
pub(crate) use usage_columns;

/// Sets these columns to the parameters from `$3` to `$12`.
macro_rules! set_usage {
    () => {
        "input_tokens = $3, output_tokens = $4, cache_read_tokens = $5, cache_5m_tokens = $6, cache_1h_tokens = $7, web_searches = $8, \
         web_fetches = $9, list_cost_nanos = $10, active_micros = $11, running_since = $12"
    };
}
pub(crate) use set_usage;

pub(crate) fn read(row: &AnyRow) -> Result<(SessionUsage, Activity), StoreError> {
    let usage = SessionUsage {
        input_tokens: row.value("input_tokens")?,
        output_tokens: row.value("output_tokens")?,
        cache_read_tokens: row.value("cache_read_tokens")?,
        cache_5m_tokens: row.value("cache_5m_tokens")?,
        cache_1h_tokens: row.value("cache_1h_tokens")?,
        web_searches: row.value("web_searches")?,
        web_fetches: row.value("web_fetches")?,
        list_cost_nanos: row.value("list_cost_nanos")?,
    };
    let activity = Activity {
        active_micros: row.value("active_micros")?,
        running_since: row.optional_time("running_since")?,
    };
    Ok((usage, activity))
}

/// Binds the parameters of [`set_usage`].
pub(crate) fn bind<'q>(
    query: Query<'q, Any, AnyArguments>,
    usage: SessionUsage,
    activity: Activity,
) -> Query<'q, Any, AnyArguments> {
    query
        .bind(usage.input_tokens)
        .bind(usage.output_tokens)
        .bind(usage.cache_read_tokens)
        .bind(usage.cache_5m_tokens)
        .bind(usage.cache_1h_tokens)
        .bind(usage.web_searches)
        .bind(usage.web_fetches)
        .bind(usage.list_cost_nanos)
        .bind(activity.active_micros)
        .bind(activity.running_since.map(jiff::Timestamp::as_microsecond))
}
