//! Who syncs a connector: claiming it, keeping it, ending it. Each is one conditional update, so that of two that race one wins.

use bailiwick_model::{KnowledgeConnectorId, OrganizationId};
use jiff::Timestamp;
use sqlx::any::AnyRow;

use crate::error::StoreError;
use crate::knowledge_connector::{KnowledgeConnector, KnowledgeSyncState, columns};
use crate::row::Columns;
use crate::store::Store;

/// Who syncs a connector. What it writes is refused once somebody else does, or the connector is deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnowledgeRun {
    /// Whose connector it is.
    pub organization: OrganizationId,
    /// Which connector.
    pub connector: KnowledgeConnectorId,
    /// Who syncs it.
    pub holder: String,
    /// Grows with each one that does.
    pub number: i64,
}

/// What a sync is told when it says that it still runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeptSync {
    /// It is theirs, and this is the connector now.
    Theirs(Box<KnowledgeConnector>),
    /// Somebody wants it to end.
    Cancelled,
    /// It is not theirs any more, or the connector is gone.
    Lost,
}

/// How a sync ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedSync {
    /// How.
    pub state: KnowledgeSyncState,
    /// How many documents became what, as JSON.
    pub counts: String,
    /// Why it failed.
    pub error: Option<String>,
    /// What the connector remembers.
    pub cursor: Option<String>,
    /// When the next one is due, unless it was wanted meanwhile.
    pub next_at: Option<Timestamp>,
}

impl Store {
    /// Connectors of all organizations that are due and that nobody syncs, those first that wait for longest; of one organization only so many.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn knowledge_to_sync(
        &self,
        now: Timestamp,
        limit: u32,
        limit_of_organization: u32,
    ) -> Result<Vec<(OrganizationId, KnowledgeConnectorId)>, StoreError> {
        let rows = sqlx::query(
            "SELECT d.organization_id, d.id FROM (SELECT k.organization_id, k.id, k.wanted_at, \
             ROW_NUMBER() OVER (PARTITION BY k.organization_id ORDER BY k.wanted_at, k.id) AS place \
             FROM knowledge_connector k JOIN environment e ON e.id = k.environment_id \
             WHERE k.wanted_at <= $1 AND (k.runner_until IS NULL OR k.runner_until <= $1) AND e.archived_at IS NULL) d \
             WHERE d.place <= $3 ORDER BY d.wanted_at, d.id LIMIT $2",
        )
        .bind(now.as_microsecond())
        .bind(i64::from(limit))
        .bind(i64::from(limit_of_organization))
        .fetch_all(self.reader())
        .await?;
        let read = |row: &AnyRow| Ok((row.id("organization_id")?, row.id("id")?));
        rows.iter().map(read).collect()
    }

    /// Makes somebody the one who syncs a connector until then, if it is due and nobody else does.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn claim_knowledge(
        &self,
        organization: &OrganizationId,
        connector: &KnowledgeConnectorId,
        holder: &str,
        (now, until): (Timestamp, Timestamp),
    ) -> Result<Option<KnowledgeRun>, StoreError> {
        let mut transaction = self.begin_shared().await?;
        let row = sqlx::query(
            "UPDATE knowledge_connector SET runner = $3, runner_number = runner_number + 1, runner_until = $5, cancelled = 0, sync_state = $6, \
             sync_started_at = $4, sync_ended_at = NULL, sync_counts = NULL, sync_error = NULL \
             WHERE organization_id = $1 AND id = $2 AND deleted_at IS NULL AND wanted_at <= $4 AND (runner_until IS NULL OR runner_until <= $4) \
             RETURNING runner_number",
        )
        .bind(organization.to_string())
        .bind(connector.to_string())
        .bind(holder.to_owned())
        .bind(now.as_microsecond())
        .bind(until.as_microsecond())
        .bind(KnowledgeSyncState::Running.as_str())
        .fetch_optional(transaction.connection())
        .await?;
        transaction.commit().await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(KnowledgeRun {
            organization: organization.clone(),
            connector: connector.clone(),
            holder: holder.to_owned(),
            number: row.value("runner_number")?,
        }))
    }

    /// Keeps a connector until then, and tells what of it holds now.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn keep_knowledge(
        &self,
        run: &KnowledgeRun,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<KeptSync, StoreError> {
        let statement = sqlx::query(
            "UPDATE knowledge_connector SET runner_until = $6 WHERE organization_id = $1 AND id = $2 AND runner_number = $3 AND runner = $4 \
             AND runner_until > $5",
        )
        .bind(run.organization.to_string())
        .bind(run.connector.to_string())
        .bind(run.number)
        .bind(run.holder.clone())
        .bind(now.as_microsecond())
        .bind(until.as_microsecond());
        if self.execute(statement).await?.rows_affected() != 1 {
            return Ok(KeptSync::Lost);
        }
        let row = sqlx::query(
            "SELECT cancelled FROM knowledge_connector WHERE organization_id = $1 AND id = $2",
        )
        .bind(run.organization.to_string())
        .bind(run.connector.to_string())
        .fetch_optional(self.reader())
        .await?;
        if row.as_ref().map(|row| row.flag("cancelled")).transpose()? == Some(true) {
            return Ok(KeptSync::Cancelled);
        }
        let found = self.scope(&run.organization);
        let found = found.knowledge_connector(&run.connector).await?;
        Ok(found.map_or(KeptSync::Lost, |found| KeptSync::Theirs(Box::new(found))))
    }

    /// Says how far a sync is: counts as JSON. Whether it is still theirs.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn note_knowledge_progress(
        &self,
        run: &KnowledgeRun,
        counts: &str,
    ) -> Result<bool, StoreError> {
        let statement = sqlx::query(
            "UPDATE knowledge_connector SET sync_counts = $5 WHERE organization_id = $1 AND id = $2 AND runner_number = $3 AND runner = $4",
        )
        .bind(run.organization.to_string())
        .bind(run.connector.to_string())
        .bind(run.number)
        .bind(run.holder.clone())
        .bind(counts.to_owned());
        Ok(self.execute(statement).await?.rows_affected() == 1)
    }

    /// Ends a sync; whether it was still theirs.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn end_knowledge_sync(
        &self,
        run: &KnowledgeRun,
        now: Timestamp,
        ended: &EndedSync,
    ) -> Result<bool, StoreError> {
        let statement = sqlx::query(
            "UPDATE knowledge_connector SET runner = NULL, runner_until = NULL, cancelled = 0, sync_state = $5, sync_ended_at = $6, sync_counts = $7, \
             sync_error = $8, sync_cursor = $9, wanted_at = CASE WHEN wanted_at > sync_started_at THEN wanted_at ELSE $10 END \
             WHERE organization_id = $1 AND id = $2 AND runner_number = $3 AND runner = $4",
        )
        .bind(run.organization.to_string())
        .bind(run.connector.to_string())
        .bind(run.number)
        .bind(run.holder.clone())
        .bind(ended.state.as_str())
        .bind(now.as_microsecond())
        .bind(ended.counts.clone())
        .bind(ended.error.clone())
        .bind(ended.cursor.clone())
        .bind(ended.next_at.map(Timestamp::as_microsecond));
        Ok(self.execute(statement).await?.rows_affected() == 1)
    }

    /// Gives a connector back whose sync is to be begun again by whoever finds it; nothing of it is lost.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn release_knowledge(&self, run: &KnowledgeRun) -> Result<(), StoreError> {
        let statement = sqlx::query(
            "UPDATE knowledge_connector SET runner = NULL, runner_until = NULL WHERE organization_id = $1 AND id = $2 AND runner_number = $3 \
             AND runner = $4",
        )
        .bind(run.organization.to_string())
        .bind(run.connector.to_string())
        .bind(run.number)
        .bind(run.holder.clone());
        self.execute(statement).await?;
        Ok(())
    }

    /// Gives all connectors back: for a server that is the only one of its database.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn end_knowledge_runs(&self) -> Result<(), StoreError> {
        let statement = sqlx::query(
            "UPDATE knowledge_connector SET runner = NULL, runner_until = NULL WHERE runner IS NOT NULL",
        );
        self.execute(statement).await?;
        Ok(())
    }

    /// One connector as it is to be synced, with what it remembers.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn knowledge_of_run(
        &self,
        run: &KnowledgeRun,
    ) -> Result<Option<KnowledgeConnector>, StoreError> {
        let row = sqlx::query(columns!(
            "AND organization_id = $1 AND id = $2 AND runner_number = $3 AND runner = $4"
        ))
        .bind(run.organization.to_string())
        .bind(run.connector.to_string())
        .bind(run.number)
        .bind(run.holder.clone())
        .fetch_optional(self.reader())
        .await?;
        row.as_ref().map(KnowledgeConnector::read).transpose()
    }
}
