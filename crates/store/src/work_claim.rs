//! Who has an item of a work queue: handing out, and heartbeats. Each is one conditional update, so that of two that race one wins.

use bailiwick_model::limits::WORK_CANDIDATES;
use bailiwick_model::{EnvironmentId, OrganizationId, WorkId};
use jiff::Timestamp;

use crate::change::Change;
use crate::error::StoreError;
use crate::row::Columns;
use crate::store::{Scope, Store};
use crate::work::{Work, columns};

/// What a heartbeat expects of the item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// That there was none: it takes an item that was acknowledged.
    NoHeartbeat,
    /// That this was the last one.
    Heartbeat(Timestamp),
    /// Nothing.
    Anything,
}

/// A heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beat {
    /// What it expects.
    pub expected: Expected,
    /// For how long it keeps the item.
    pub lease_seconds: i64,
    /// When it is sent.
    pub at: Timestamp,
    /// Until when it keeps the item.
    pub lease_ends_at: Timestamp,
}

impl Scope<'_> {
    /// Items that a worker may be given, the oldest first: those that nobody was given after `handed_before`, and those whose lease has
    /// ended.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn work_to_hand_out(
        &self,
        environment: &EnvironmentId,
        now: Timestamp,
        handed_before: Timestamp,
    ) -> Result<Vec<WorkId>, StoreError> {
        let rows = sqlx::query(
            "SELECT id FROM work WHERE organization_id = $1 AND environment_id = $2 AND state <> 'stopped' \
             AND ((state = 'queued' AND (handed_at IS NULL OR handed_at <= $4)) OR (state IN ('starting', 'active') AND lease_ends_at <= $3)) \
             ORDER BY queued_at, id LIMIT $5",
        )
        .bind(self.organization.to_string())
        .bind(environment.to_string())
        .bind(now.as_microsecond())
        .bind(handed_before.as_microsecond())
        .bind(WORK_CANDIDATES)
        .fetch_all(self.pool)
        .await?;
        rows.iter().map(|row| row.id("id")).collect()
    }
}

impl Change {
    /// Hands out an item, if it may still be: it is queued anew, whoever had it before.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn hand_out_work(
        &mut self,
        environment: &EnvironmentId,
        id: &WorkId,
        handed_before: Timestamp,
    ) -> Result<Option<Work>, StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        let row = sqlx::query(concat!(
            "UPDATE work SET queued_at = CASE WHEN state = 'queued' THEN queued_at ELSE $4 END, state = 'queued', handed_at = $4, \
             acknowledged_at = NULL, started_at = NULL, latest_heartbeat_at = NULL, lease_ends_at = NULL \
             WHERE organization_id = $1 AND environment_id = $2 AND id = $3 \
             AND ((state = 'queued' AND (handed_at IS NULL OR handed_at <= $5)) OR (state IN ('starting', 'active') AND lease_ends_at <= $4)) \
             RETURNING ",
            columns!()
        ))
        .bind(organization)
        .bind(environment.to_string())
        .bind(id.to_string())
        .bind(at)
        .bind(handed_before.as_microsecond())
        .fetch_optional(self.connection())
        .await?;
        row.as_ref().map(Work::read).transpose()
    }
}

impl Store {
    /// Takes a heartbeat: `None` unless the item is leased, its lease has not ended, and the heartbeat expects what is there. Heartbeats
    /// are no changes that the audit log has entries for.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn beat(
        &self,
        organization: &OrganizationId,
        environment: &EnvironmentId,
        id: &WorkId,
        beat: Beat,
    ) -> Result<Option<Work>, StoreError> {
        let (any, none, expected) = match beat.expected {
            Expected::Anything => (1_i64, 0_i64, 0),
            Expected::NoHeartbeat => (0, 1, 0),
            Expected::Heartbeat(at) => (0, 0, at.as_microsecond()),
        };
        let mut transaction = self.begin().await?;
        let row = sqlx::query(concat!(
            // Two heartbeats are told apart by their times.
            "UPDATE work SET state = 'active', started_at = COALESCE(started_at, $4), \
             latest_heartbeat_at = CASE WHEN latest_heartbeat_at >= $4 THEN latest_heartbeat_at + 1 ELSE $4 END, \
             lease_seconds = $5, lease_ends_at = $6 \
             WHERE organization_id = $1 AND environment_id = $2 AND id = $3 AND state IN ('starting', 'active') AND lease_ends_at > $4 \
             AND ($7 = 1 OR ($8 = 1 AND latest_heartbeat_at IS NULL) OR latest_heartbeat_at = $9) \
             RETURNING ",
            columns!()
        ))
        .bind(organization.to_string())
        .bind(environment.to_string())
        .bind(id.to_string())
        .bind(beat.at.as_microsecond())
        .bind(beat.lease_seconds)
        .bind(beat.lease_ends_at.as_microsecond())
        .bind(any)
        .bind(none)
        .bind(expected)
        .fetch_optional(transaction.connection())
        .await?;
        transaction.commit().await?;
        row.as_ref().map(Work::read).transpose()
    }

    /// Ends items of a queue whose workers were asked to stop and have not been heard of since; nothing is asked of anybody, so the audit
    /// log has no entry for it.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn end_lapsed_work(
        &self,
        organization: &OrganizationId,
        environment: &EnvironmentId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let waiting = sqlx::query(
            "SELECT id FROM work WHERE organization_id = $1 AND environment_id = $2 AND state = 'stopping' AND lease_ends_at <= $3 LIMIT 1",
        )
        .bind(organization.to_string())
        .bind(environment.to_string())
        .bind(now.as_microsecond())
        .fetch_optional(self.reader())
        .await?;
        if waiting.is_none() {
            return Ok(());
        }
        let mut transaction = self.begin().await?;
        sqlx::query(
            "UPDATE work SET state = 'stopped', stopped_at = lease_ends_at \
             WHERE organization_id = $1 AND environment_id = $2 AND state = 'stopping' AND lease_ends_at <= $3",
        )
        .bind(organization.to_string())
        .bind(environment.to_string())
        .bind(now.as_microsecond())
        .execute(transaction.connection())
        .await?;
        transaction.commit().await
    }
}
