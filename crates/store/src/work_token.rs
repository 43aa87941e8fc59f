//! Workers: what they authenticate with for one item, and when they polled.

use bailiwick_model::limits::WORK_POLLERS;
use bailiwick_model::{ApiKeyId, EnvironmentId, OrganizationId, SessionId, WorkId};
use jiff::Timestamp;

use crate::change::Change;
use crate::error::StoreError;
use crate::row::Columns;
use crate::store::{Scope, Store};

/// What the token of an item stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownWork {
    /// Whose things it opens.
    pub organization: OrganizationId,
    /// In whose queue the item is.
    pub environment: EnvironmentId,
    /// Which item.
    pub work: WorkId,
    /// Which session it serves.
    pub session: SessionId,
}

impl Store {
    /// What the token of an item stands for, by its hash; `None` if there is none, the item ended before `ended_before`, or the key that
    /// its worker polled with is not taken any more.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn known_work(
        &self,
        hash: &[u8; 32],
        now: Timestamp,
        ended_before: Timestamp,
    ) -> Result<Option<KnownWork>, StoreError> {
        let row = sqlx::query(
            "SELECT w.organization_id, w.environment_id, w.id, w.session_id FROM work_token t \
             JOIN work w ON w.id = t.work_id AND w.organization_id = t.organization_id \
             LEFT JOIN api_key k ON k.id = t.key_id \
             WHERE t.hash = $1 AND (w.stopped_at IS NULL OR w.stopped_at > $2) \
             AND (t.key_id IS NULL OR (k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > $3)))",
        )
        .bind(hash.to_vec())
        .bind(ended_before.as_microsecond())
        .bind(now.as_microsecond())
        .fetch_optional(self.reader())
        .await?;
        let known = row.map(|row| {
            Ok(KnownWork {
                organization: row.id("organization_id")?,
                environment: row.id("environment_id")?,
                work: row.id("id")?,
                session: row.id("session_id")?,
            })
        });
        known.transpose()
    }

    /// Remembers that a worker polled. Of one queue a bounded number of workers is remembered.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn put_poller(
        &self,
        organization: &OrganizationId,
        environment: &EnvironmentId,
        worker: &str,
        at: Timestamp,
        forget_before: Timestamp,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        sqlx::query(
            "DELETE FROM work_poller WHERE organization_id = $1 AND environment_id = $2 AND polled_at < $3",
        )
        .bind(organization.to_string())
        .bind(environment.to_string())
        .bind(forget_before.as_microsecond())
        .execute(transaction.connection())
        .await?;
        sqlx::query(
            "INSERT INTO work_poller (organization_id, environment_id, worker, polled_at) \
             SELECT e.organization_id, e.id, $3, $4 FROM environment e WHERE e.organization_id = $1 AND e.id = $2 \
             AND (SELECT COUNT(*) FROM work_poller p WHERE p.environment_id = $2) < $5 \
             ON CONFLICT (environment_id, worker) DO UPDATE SET polled_at = excluded.polled_at",
        )
        .bind(organization.to_string())
        .bind(environment.to_string())
        .bind(worker.to_owned())
        .bind(at.as_microsecond())
        .bind(WORK_POLLERS)
        .execute(transaction.connection())
        .await?;
        transaction.commit().await
    }
}

impl Scope<'_> {
    /// When a worker polled, the last time that is remembered.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn polled_at(
        &self,
        environment: &EnvironmentId,
        worker: &str,
    ) -> Result<Option<Timestamp>, StoreError> {
        let row = sqlx::query(
            "SELECT polled_at FROM work_poller WHERE organization_id = $1 AND environment_id = $2 AND worker = $3",
        )
        .bind(self.organization.to_string())
        .bind(environment.to_string())
        .bind(worker.to_owned())
        .fetch_optional(self.pool)
        .await?;
        row.map(|row| row.time("polled_at")).transpose()
    }
}

impl Change {
    /// Remembers the hash of a token of an item that this change handed out. Whoever had the item before keeps theirs, so that they learn
    /// that it is somebody else's, but of many only the last.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn insert_work_token(
        &mut self,
        work: &WorkId,
        key: Option<&ApiKeyId>,
        hash: [u8; 32],
    ) -> Result<(), StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        sqlx::query(
            "DELETE FROM work_token WHERE organization_id = $1 AND work_id = $2 AND hash NOT IN \
             (SELECT hash FROM work_token WHERE organization_id = $1 AND work_id = $2 ORDER BY created_at DESC, hash LIMIT 3)",
        )
        .bind(organization.clone())
        .bind(work.to_string())
        .execute(self.connection())
        .await?;
        sqlx::query("INSERT INTO work_token (hash, organization_id, work_id, created_at, key_id) VALUES ($1, $2, $3, $4, $5)")
            .bind(hash.to_vec())
            .bind(organization)
            .bind(work.to_string())
            .bind(at)
            .bind(key.map(ToString::to_string))
            .execute(self.connection())
            .await?;
        Ok(())
    }
}
