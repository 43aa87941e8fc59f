//! Workers: what they authenticate with for one item, and when they polled.

use bailiwick_model::limits::WORK_POLLERS;
use bailiwick_model::{ApiKeyId, EnvironmentId, OrganizationId, Permission, SessionId, WorkId};
use jiff::Timestamp;

use crate::api_key::{KeyOwner, KnownKey};
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
    /// What the token of an item stands for, by its hash; `None` if there is none, the item ended before `ended_before`, or whoever polled with a
    /// key could not do that with it now: it is not taken any more, or its owner may not serve queues any more.
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
            "SELECT w.organization_id, w.environment_id, w.id, w.session_id, t.key_id FROM work_token t \
             JOIN work w ON w.id = t.work_id AND w.organization_id = t.organization_id \
             WHERE t.hash = $1 AND (w.stopped_at IS NULL OR w.stopped_at > $2)",
        )
        .bind(hash.to_vec())
        .bind(ended_before.as_microsecond())
        .fetch_optional(self.reader())
        .await?;
        let Some(row) = row else { return Ok(None) };
        let known = KnownWork {
            organization: row.id("organization_id")?,
            environment: row.id("environment_id")?,
            work: row.id("id")?,
            session: row.id("session_id")?,
        };
        // One of a version that handed out without a key hangs on nothing.
        let Some(key) = row.optional_id::<ApiKeyId>("key_id")? else {
            return Ok(None);
        };
        let key = self.known_key_of(&key).await?;
        Ok(key.filter(|key| key.serves(&known, now)).map(|_| known))
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

impl KnownKey {
    /// Whether items of this queue are handed to whoever shows it.
    fn serves(&self, work: &KnownWork, now: Timestamp) -> bool {
        let is_current = self.expires_at.is_none_or(|expires| expires > now);
        let may = match &self.owner {
            KeyOwner::Environment(environment) => *environment == work.environment,
            KeyOwner::User(_) | KeyOwner::ServiceAccount(_) => {
                self.permissions.allow(Permission::WorkWrite)
            }
            KeyOwner::LlmProxy(_) | KeyOwner::McpGateway(_) => false,
        };
        is_current && may && self.organization == work.organization
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
    /// that it is somebody else's, but of many only the last. It hangs on the key that whoever has it polled with.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn insert_work_token(
        &mut self,
        work: &WorkId,
        key: &ApiKeyId,
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
            .bind(key.to_string())
            .execute(self.connection())
            .await?;
        Ok(())
    }
}
