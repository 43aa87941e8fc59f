//! Bytes of any size, in chunks: whoever writes or reads them has one chunk in memory.
//!
//! Content arrives outside of a [`Change`], chunk by chunk, so that a slow upload holds no lock. Nobody sees it before a change keeps it; what
//! no change keeps, and what nothing refers to any more, is swept.

use bailiwick_model::{ContentId, OrganizationId};
use jiff::Timestamp;

use crate::change::Change;
use crate::error::StoreError;
use crate::row::Columns;
use crate::store::{Scope, Store};

/// Chunks that one transaction of a sweep deletes.
const SWEPT_AT_ONCE: i64 = 16;

/// Content that nothing refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LooseContent {
    /// Whose it is.
    pub organization: OrganizationId,
    /// Its id.
    pub id: ContentId,
}

impl Store {
    /// Adds a chunk to content that is arriving; the chunk with the number 0 begins it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Stale`] if it is not arriving any more: it was silent for too long and is being swept.
    pub async fn append_content(
        &self,
        organization: &OrganizationId,
        id: &ContentId,
        number: i64,
        bytes: Vec<u8>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let length = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
        let mut transaction = self.begin().await?;
        let query = if number == 0 {
            sqlx::query(
                "INSERT INTO content (organization_id, id, state, bytes, touched_at) VALUES ($1, $2, 'arriving', $3, $4)",
            )
        } else {
            sqlx::query(
                "UPDATE content SET bytes = bytes + $3, touched_at = $4 WHERE organization_id = $1 AND id = $2 AND state = 'arriving'",
            )
        };
        let done = query
            .bind(organization.to_string())
            .bind(id.to_string())
            .bind(length)
            .bind(at.as_microsecond())
            .execute(transaction.connection())
            .await?;
        if done.rows_affected() != 1 {
            return Err(StoreError::Stale);
        }
        sqlx::query("INSERT INTO content_chunk (organization_id, content_id, number, bytes) VALUES ($1, $2, $3, $4)")
            .bind(organization.to_string())
            .bind(id.to_string())
            .bind(number)
            .bind(bytes)
            .execute(transaction.connection())
            .await?;
        transaction.commit().await
    }

    /// Gives up content that is arriving, so that the next sweep takes it.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn abandon_content(
        &self,
        organization: &OrganizationId,
        id: &ContentId,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        sqlx::query("UPDATE content SET state = 'going' WHERE organization_id = $1 AND id = $2 AND state = 'arriving'")
            .bind(organization.to_string())
            .bind(id.to_string())
            .execute(transaction.connection())
            .await?;
        transaction.commit().await
    }

    /// Content of all organizations that nothing refers to, or that stopped arriving before `silent_since`.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn loose_content(
        &self,
        silent_since: Timestamp,
        limit: u32,
    ) -> Result<Vec<LooseContent>, StoreError> {
        let rows = sqlx::query(
            "SELECT organization_id, id FROM content WHERE state <> 'kept' AND (state = 'going' OR touched_at < $1) \
             ORDER BY touched_at LIMIT $2",
        )
        .bind(silent_since.as_microsecond())
        .bind(i64::from(limit))
        .fetch_all(self.reader())
        .await?;
        let loose = |row: &sqlx::any::AnyRow| {
            Ok(LooseContent {
                organization: row.id("organization_id")?,
                id: row.id("id")?,
            })
        };
        rows.iter().map(loose).collect()
    }

    /// Deletes loose content, a few chunks at a time, so that nobody waits for it. What began to arrive or to be kept again meanwhile stays.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]; the next sweep goes on where this one ended.
    pub async fn sweep_content(
        &self,
        loose: &LooseContent,
        silent_since: Timestamp,
    ) -> Result<(), StoreError> {
        while self.sweep_chunks(loose, silent_since).await? {}
        Ok(())
    }

    /// One transaction of a sweep; whether there is more to do.
    async fn sweep_chunks(
        &self,
        loose: &LooseContent,
        silent_since: Timestamp,
    ) -> Result<bool, StoreError> {
        let (organization, id) = (loose.organization.to_string(), loose.id.to_string());
        let mut transaction = self.begin().await?;
        let claimed = sqlx::query(
            "UPDATE content SET state = 'going' WHERE organization_id = $1 AND id = $2 \
             AND (state = 'going' OR (state = 'arriving' AND touched_at < $3))",
        )
        .bind(organization.clone())
        .bind(id.clone())
        .bind(silent_since.as_microsecond())
        .execute(transaction.connection())
        .await?;
        if claimed.rows_affected() == 0 {
            return Ok(false);
        }
        let deleted = sqlx::query(
            "DELETE FROM content_chunk WHERE organization_id = $1 AND content_id = $2 AND number IN \
             (SELECT number FROM content_chunk WHERE organization_id = $1 AND content_id = $2 ORDER BY number LIMIT $3)",
        )
        .bind(organization.clone())
        .bind(id.clone())
        .bind(SWEPT_AT_ONCE)
        .execute(transaction.connection())
        .await?;
        let more = deleted.rows_affected() > 0;
        if !more {
            sqlx::query("DELETE FROM content WHERE organization_id = $1 AND id = $2")
                .bind(organization)
                .bind(id)
                .execute(transaction.connection())
                .await?;
        }
        transaction.commit().await?;
        Ok(more)
    }
}

impl Scope<'_> {
    /// One chunk of content, by its number from 0.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn content_chunk(
        &self,
        id: &ContentId,
        number: i64,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let row = sqlx::query(
            "SELECT bytes FROM content_chunk WHERE organization_id = $1 AND content_id = $2 AND number = $3",
        )
        .bind(self.organization.to_string())
        .bind(id.to_string())
        .bind(number)
        .fetch_optional(self.pool)
        .await?;
        row.map(|row| row.value("bytes")).transpose()
    }

    /// Bytes of all content, with what is arriving and what has not been swept.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn content_bytes(&self) -> Result<i64, StoreError> {
        let row = sqlx::query(
            "SELECT CAST(COALESCE(SUM(bytes), 0) AS BIGINT) AS bytes FROM content WHERE organization_id = $1",
        )
        .bind(self.organization.to_string())
        .fetch_one(self.pool)
        .await?;
        row.value("bytes")
    }
}

impl Change {
    /// Keeps content that has arrived, or that something refers to already.
    ///
    /// # Errors
    ///
    /// [`StoreError::Stale`] if it is being swept.
    pub(crate) async fn keep_content(&mut self, id: &ContentId) -> Result<(), StoreError> {
        let organization = self.organization().to_string();
        let done = sqlx::query(
            "UPDATE content SET state = 'kept' WHERE organization_id = $1 AND id = $2 AND state <> 'going'",
        )
        .bind(organization)
        .bind(id.to_string())
        .execute(self.connection())
        .await?;
        if done.rows_affected() == 1 {
            Ok(())
        } else {
            Err(StoreError::Stale)
        }
    }

    /// Lets content go if nothing refers to it any more.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub(crate) async fn release_content(&mut self, id: &ContentId) -> Result<(), StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        // Of two that let go at once, the second waits here, and then sees that it is the last.
        sqlx::query("UPDATE content SET touched_at = $3 WHERE organization_id = $1 AND id = $2")
            .bind(organization.clone())
            .bind(id.to_string())
            .bind(at)
            .execute(self.connection())
            .await?;
        sqlx::query(
            "UPDATE content SET state = 'going' WHERE organization_id = $1 AND id = $2 \
             AND NOT EXISTS (SELECT 1 FROM file WHERE content_id = $2) \
             AND NOT EXISTS (SELECT 1 FROM skill_version WHERE content_id = $2)",
        )
        .bind(organization)
        .bind(id.to_string())
        .execute(self.connection())
        .await?;
        Ok(())
    }
}
