//! Flows of sessions: what their sandboxes tried to reach.

use bailiwick_model::{EnvironmentId, FlowId, OrganizationId, ResourceId as _, SessionId, Verdict};
use jiff::Timestamp;
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use crate::change::Change;
use crate::error::StoreError;
use crate::row::Columns;
use crate::store::{Scope, Store};

/// What stands in the place of a session where a flow is none's.
const NO_SESSION: &str = "";

/// One to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFlow {
    /// By which it is known again.
    pub id: FlowId,
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
    /// Whose it was, if it was a session's.
    pub session: Option<SessionId>,
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
            session: session(row)?,
            environment: row.id("environment_id")?,
            kept_at: row.time("kept_at")?,
            flow: row.value("flow")?,
        })
    }
}

/// The column is never NULL: what is no session's has an empty text there.
fn session(row: &AnyRow) -> Result<Option<SessionId>, StoreError> {
    match row.value::<String>("session_id")?.as_str() {
        "" => Ok(None),
        _ => row.id("session_id").map(Some),
    }
}

impl Store {
    /// Keeps flows of a session, or of no session, all or none. They get the next numbers of the organization: whoever has read those up to a number has
    /// missed none. The same flows may be given again, all together, where nobody knows whether they were kept: they are there once.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn keep_flows(
        &self,
        organization: &OrganizationId,
        (session, environment): (Option<&SessionId>, &EnvironmentId),
        at: Timestamp,
        flows: &[NewFlow],
    ) -> Result<(), StoreError> {
        let Some(first) = flows.first() else {
            return Ok(());
        };
        let count = i64::try_from(flows.len()).unwrap_or(i64::MAX);
        let mut transaction = self.begin_shared().await?;
        let row = sqlx::query(
            "UPDATE organization SET flow_sequence = flow_sequence + $2 WHERE id = $1 RETURNING flow_sequence",
        )
        .bind(organization.to_string())
        .bind(count)
        .fetch_one(transaction.connection())
        .await?;
        let last: i64 = row.value("flow_sequence")?;
        // Whoever writes them has the organization's row, so what an earlier attempt did is known by now.
        let known =
            sqlx::query("SELECT 1 AS known FROM flow WHERE organization_id = $1 AND id = $2")
                .bind(organization.to_string())
                .bind(first.id.to_string())
                .fetch_optional(transaction.connection())
                .await?;
        if known.is_some() {
            return transaction.undo().await;
        }
        for (sequence, new) in (last - count + 1..).zip(flows) {
            sqlx::query(
                "INSERT INTO flow (organization_id, sequence, session_id, environment_id, verdict, kept_at, flow, id) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            )
            .bind(organization.to_string())
            .bind(sequence)
            .bind(session.map_or_else(|| NO_SESSION.to_owned(), ToString::to_string))
            .bind(environment.to_string())
            .bind(new.verdict.to_string())
            .bind(at.as_microsecond())
            .bind(new.flow.clone())
            .bind(new.id.to_string())
            .execute(transaction.connection())
            .await?;
        }
        transaction.commit().await
    }
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
        // What is not asked for is not in the statement: a condition that a value switches off keeps both databases from their indexes.
        let ids = [
            ("session_id", filter.session.as_ref().map(SessionId::as_str)),
            (
                "environment_id",
                filter.environment.as_ref().map(EnvironmentId::as_str),
            ),
        ];
        let mut wanted: Vec<(&str, String)> = ids
            .into_iter()
            .filter_map(|(column, id)| Some((column, id?.to_owned())))
            .collect();
        let mut statement = String::from(
            "SELECT sequence, session_id, environment_id, kept_at, flow FROM flow WHERE organization_id = $1 AND sequence > $2",
        );
        match (filter.verdict, &filter.session) {
            // The flows of one session are few.
            (Some(verdict), Some(_)) => wanted.push(("verdict", verdict.to_string())),
            // Written out, without which the index of what was denied is not used.
            (Some(verdict), None) => statement += &format!(" AND verdict = '{verdict}'"),
            (None, _) => {}
        }
        for (number, (column, _)) in (4..).zip(&wanted) {
            statement += &format!(" AND {column} = ${number}");
        }
        statement += " ORDER BY sequence LIMIT $3";
        // It is made of words of this function and of the enum alone.
        let mut query = sqlx::query(AssertSqlSafe(statement))
            .bind(self.organization.to_string())
            .bind(after)
            .bind(i64::from(limit));
        for (_, value) in wanted {
            query = query.bind(value);
        }
        let rows = query.fetch_all(self.pool).await?;
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
