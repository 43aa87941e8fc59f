//! How long records are kept, and the end of those that are not.

use jiff::Timestamp;
use sqlx::any::AnyRow;

use crate::audit::{AuditAnchor, AuditEntry};
use crate::change::Change;
use crate::error::StoreError;
use crate::row::Columns;
use crate::store::Scope;

/// How many days records are kept; `None` is for ever.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// What happened in sessions.
    pub events_days: Option<i64>,
    /// What sandboxes reached, or did not.
    pub flows_days: Option<i64>,
    /// The audit log.
    pub audit_days: Option<i64>,
}

impl Retention {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            events_days: row.value("events_days")?,
            flows_days: row.value("flows_days")?,
            audit_days: row.value("audit_days")?,
        })
    }
}

impl Scope<'_> {
    /// How long the organization's records are kept; `None` if there is no organization.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn retention(&self) -> Result<Option<Retention>, StoreError> {
        let row = sqlx::query(
            "SELECT events_days, flows_days, audit_days FROM organization WHERE id = $1",
        )
        .bind(self.organization.to_string())
        .fetch_optional(self.pool)
        .await?;
        row.as_ref().map(Retention::read).transpose()
    }
}

impl Change {
    /// Changes how long the organization's records are kept.
    ///
    /// # Errors
    ///
    /// [`StoreError::Stale`] if the organization is not at `version` any more.
    pub async fn set_retention(
        &mut self,
        version: i64,
        retention: Retention,
    ) -> Result<(), StoreError> {
        let (id, at) = (self.organization().to_string(), self.micros());
        let done = sqlx::query(
            "UPDATE organization SET events_days = $3, flows_days = $4, audit_days = $5, version = version + 1, updated_at = $6 \
             WHERE id = $1 AND version = $2",
        )
        .bind(id)
        .bind(version)
        .bind(retention.events_days)
        .bind(retention.flows_days)
        .bind(retention.audit_days)
        .bind(at)
        .execute(self.connection())
        .await?;
        if done.rows_affected() == 1 {
            Ok(())
        } else {
            Err(StoreError::Stale)
        }
    }

    /// Takes away events of sessions from before `before`, at most `limit`; how many. Those of sessions that are at work or wait for an answer
    /// stay, and what nobody has taken up.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn expire_session_events(
        &mut self,
        before: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let organization = self.organization().to_string();
        let done = sqlx::query(
            "DELETE FROM session_event WHERE organization_id = $1 AND (session_id, sequence) IN \
             (SELECT e.session_id, e.sequence FROM session_event e JOIN session s ON s.id = e.session_id \
             WHERE e.organization_id = $1 AND e.created_at < $2 AND e.processed_at IS NOT NULL AND s.status IN ('idle', 'terminated') \
             AND NOT EXISTS (SELECT 1 FROM session_thread t WHERE t.session_id = s.id AND t.awaits <> '[]') ORDER BY e.created_at LIMIT $3)",
        )
        .bind(organization)
        .bind(before.as_microsecond())
        .bind(i64::from(limit))
        .execute(self.connection())
        .await?;
        Ok(done.rows_affected())
    }

    /// Takes away the oldest entries of the audit log, in their order: those from before `before`, up to the number `through` and at most
    /// `limit`. What the rest of the chain begins with then; `None` if there are none. The change must be alone.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn expire_audit_entries(
        &mut self,
        before: Timestamp,
        through: i64,
        limit: u32,
    ) -> Result<Option<AuditAnchor>, StoreError> {
        let organization = self.organization().to_string();
        let rows = sqlx::query(
            "SELECT sequence, at, hash FROM audit_entry WHERE organization_id = $1 AND sequence <= $2 ORDER BY sequence LIMIT $3",
        )
        .bind(organization.clone())
        .bind(through)
        .bind(i64::from(limit))
        .fetch_all(self.connection())
        .await?;
        let mut anchor = None;
        for row in &rows {
            if row.time("at")? >= before {
                break;
            }
            anchor = Some(AuditAnchor {
                sequence: row.value("sequence")?,
                hash: row.hash("hash")?,
            });
        }
        let Some(anchor) = anchor else {
            return Ok(None);
        };
        sqlx::query("DELETE FROM audit_entry WHERE organization_id = $1 AND sequence <= $2")
            .bind(organization.clone())
            .bind(anchor.sequence)
            .execute(self.connection())
            .await?;
        sqlx::query("UPDATE organization SET audit_anchor_sequence = $2, audit_anchor_hash = $3 WHERE id = $1")
            .bind(organization)
            .bind(anchor.sequence)
            .bind(anchor.hash.to_vec())
            .execute(self.connection())
            .await?;
        Ok(Some(anchor))
    }
}

impl AuditEntry {
    /// Whether it says that the entries up to this one were taken away.
    pub(crate) fn tells_of(&self, anchor: &AuditAnchor) -> bool {
        self.action == AuditAnchor::ACTION && self.after.as_deref() == Some(&anchor.evidence())
    }
}
