//! Flows of sessions: what their sandboxes tried to reach.

use bailiwick_model::{EnvironmentId, OrganizationId, ResourceId as _, SessionId, Verdict};
use jiff::Timestamp;
use sqlx::any::AnyRow;

use crate::change::Change;
use crate::error::StoreError;
use crate::row::Columns;
use crate::store::{Scope, Store};

/// One to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFlow {
    /// Allowed or denied.
    pub verdict: Verdict,
    /// All of it, as JSON.
    pub flow: String,
}

/// One that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFlow {
    /// From 1, in the order in which they were written.
    pub sequence: i64,
    /// Whose it was.
    pub session: SessionId,
    /// Where.
    pub environment: EnvironmentId,
    /// When it was written.
    pub kept_at: Timestamp,
    /// All of it, as JSON.
    pub flow: String,
}

/// Which flows; nothing is all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FlowFilter {
    /// Of this session.
    pub session: Option<SessionId>,
    /// In this environment.
    pub environment: Option<EnvironmentId>,
    /// Allowed or denied.
    pub verdict: Option<Verdict>,
}

impl StoredFlow {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            sequence: row.value("sequence")?,
            session: row.id("session_id")?,
            environment: row.id("environment_id")?,
            kept_at: row.time("kept_at")?,
            flow: row.value("flow")?,
        })
    }
}

impl Store {
    /// Keeps flows of a session, all or none. They get the next numbers of the organization: whoever has read those up to a number has
    /// missed none.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn keep_flows(
        &self,
        organization: &OrganizationId,
        (session, environment): (&SessionId, &EnvironmentId),
        at: Timestamp,
        flows: &[NewFlow],
    ) -> Result<(), StoreError> {
        let count = i64::try_from(flows.len()).unwrap_or(i64::MAX);
        let mut transaction = self.begin().await?;
        let row = sqlx::query(
            "UPDATE organization SET flow_sequence = flow_sequence + $2 WHERE id = $1 RETURNING flow_sequence",
        )
        .bind(organization.to_string())
        .bind(count)
        .fetch_one(transaction.connection())
        .await?;
        let last: i64 = row.value("flow_sequence")?;
        for (sequence, new) in (last - count + 1..).zip(flows) {
            sqlx::query(
                "INSERT INTO flow (organization_id, sequence, session_id, environment_id, verdict, kept_at, flow) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7)",
            )
            .bind(organization.to_string())
            .bind(sequence)
            .bind(session.to_string())
            .bind(environment.to_string())
            .bind(new.verdict.to_string())
            .bind(at.as_microsecond())
            .bind(new.flow.clone())
            .execute(transaction.connection())
            .await?;
        }
        transaction.commit().await
    }
}

/// The query for flows of one kind. SQLite uses an index for what is asked for in any case only, and without one, whose flows are few is
/// looked for among those of whoever has many.
macro_rules! flows_where {
    ($narrowed:literal) => {
        concat!(
            "SELECT sequence, session_id, environment_id, kept_at, flow FROM flow WHERE organization_id = $1 AND sequence > $2 AND ",
            $narrowed,
            " AND ($5 = '' OR verdict = $5) ORDER BY sequence LIMIT $6"
        )
    };
}

impl Scope<'_> {
    /// Flows after the one with the number `after`, the oldest first, at most `limit`.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn flows(
        &self,
        after: i64,
        limit: u32,
        filter: &FlowFilter,
    ) -> Result<Vec<StoredFlow>, StoreError> {
        let text = |id: Option<&str>| id.unwrap_or_default().to_owned();
        let query = match (&filter.session, &filter.environment) {
            (Some(_), _) => flows_where!("session_id = $3 AND ($4 = '' OR environment_id = $4)"),
            (None, Some(_)) => flows_where!("$3 = '' AND environment_id = $4"),
            (None, None) => flows_where!("$3 = '' AND $4 = ''"),
        };
        let rows = sqlx::query(query)
            .bind(self.organization.to_string())
            .bind(after)
            .bind(text(filter.session.as_ref().map(SessionId::as_str)))
            .bind(text(filter.environment.as_ref().map(EnvironmentId::as_str)))
            .bind(
                filter
                    .verdict
                    .map_or_else(String::new, |verdict| verdict.to_string()),
            )
            .bind(i64::from(limit))
            .fetch_all(self.pool)
            .await?;
        rows.iter().map(StoredFlow::read).collect()
    }
}

impl Change {
    /// Takes away the oldest flows: those written before `before`, up to the number `through` and at most `limit`; how many.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn expire_flows(
        &mut self,
        before: Timestamp,
        through: i64,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let organization = self.organization().to_string();
        let done = sqlx::query(
            "DELETE FROM flow WHERE organization_id = $1 AND sequence IN (SELECT sequence FROM flow \
             WHERE organization_id = $1 AND sequence <= $3 AND kept_at < $2 ORDER BY sequence LIMIT $4)",
        )
        .bind(organization)
        .bind(before.as_microsecond())
        .bind(through)
        .bind(i64::from(limit))
        .execute(self.connection())
        .await?;
        Ok(done.rows_affected())
    }
}
