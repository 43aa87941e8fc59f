//! Knowledge connectors: sources of documents, each of one environment.

use std::fmt;
use std::str::FromStr;

use bailiwick_model::{EnvironmentId, KnowledgeConnectorId, OrganizationId};
use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{Any, Executor};

use crate::change::Change;
use crate::error::StoreError;
use crate::organization::name_key;
use crate::page::{Page, PageRequest};
use crate::row::Columns;
use crate::store::Scope;

macro_rules! columns {
    ($rest:literal) => {
        concat!(
            "SELECT id, organization_id, environment_id, name, kind, config, version, created_at, updated_at, documents, bytes, sync_state, \
             sync_started_at, sync_ended_at, sync_counts, sync_error, sync_cursor, wanted_at FROM knowledge_connector WHERE deleted_at IS NULL ",
            $rest
        )
    };
}
pub(crate) use columns;

/// What of a connector can be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnowledgeConnectorValues {
    /// Where it belongs.
    pub environment: EnvironmentId,
    /// What people call it.
    pub name: String,
    /// What it reads: a word.
    pub kind: String,
    /// Where it reads, with what and when, as JSON.
    pub config: String,
}

/// A source of documents of an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnowledgeConnector {
    /// Its id.
    pub id: KnowledgeConnectorId,
    /// What can be changed.
    pub values: KnowledgeConnectorValues,
    /// Counts its changes.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Documents that are kept of it, those that could never be read among them.
    pub documents: i64,
    /// Bytes of their texts.
    pub bytes: i64,
    /// Its last sync.
    pub sync: KnowledgeSync,
}

/// What a connector's last sync came to, or comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnowledgeSync {
    /// How far it is.
    pub state: KnowledgeSyncState,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How many documents became what, as JSON.
    pub counts: Option<String>,
    /// Why it failed, in words for whoever keeps the connector.
    pub error: Option<String>,
    /// What the connector remembers.
    pub cursor: Option<String>,
    /// When the next one is due, if one is.
    pub wanted_at: Option<Timestamp>,
}

/// How far a sync is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KnowledgeSyncState {
    /// There was none.
    Never,
    /// It runs, or whoever ran it is gone and it will be run again.
    Running,
    /// It went to its end; single documents may have failed.
    Done,
    /// It ended before its end.
    Failed,
    /// Somebody ended it.
    Cancelled,
}

/// A word that is no state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no state of a sync")]
pub struct UnknownSyncState;

impl KnowledgeSyncState {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Never,
        Self::Running,
        Self::Done,
        Self::Failed,
        Self::Cancelled,
    ];

    /// A stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl FromStr for KnowledgeSyncState {
    type Err = UnknownSyncState;

    fn from_str(text: &str) -> Result<Self, UnknownSyncState> {
        let found = Self::ALL.into_iter().find(|known| known.as_str() == text);
        found.ok_or(UnknownSyncState)
    }
}

impl fmt::Display for KnowledgeSyncState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl KnowledgeConnector {
    pub(crate) fn read(row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id("id")?,
            values: KnowledgeConnectorValues {
                environment: row.id("environment_id")?,
                name: row.value("name")?,
                kind: row.value("kind")?,
                config: row.value("config")?,
            },
            version: row.value("version")?,
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
            documents: row.value("documents")?,
            bytes: row.value("bytes")?,
            sync: KnowledgeSync {
                state: row.word("sync_state")?,
                started_at: row.optional_time("sync_started_at")?,
                ended_at: row.optional_time("sync_ended_at")?,
                counts: row.value("sync_counts")?,
                error: row.value("sync_error")?,
                cursor: row.value("sync_cursor")?,
                wanted_at: row.optional_time("wanted_at")?,
            },
        })
    }
}

async fn find<'e>(
    executor: impl Executor<'e, Database = Any>,
    organization: &OrganizationId,
    id: &KnowledgeConnectorId,
) -> Result<Option<KnowledgeConnector>, StoreError> {
    let row = sqlx::query(columns!("AND organization_id = $1 AND id = $2"))
        .bind(organization.to_string())
        .bind(id.to_string())
        .fetch_optional(executor)
        .await?;
    row.as_ref().map(KnowledgeConnector::read).transpose()
}

impl Scope<'_> {
    /// Connectors, the newest first; of one environment, if one is named.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn knowledge_connectors(
        &self,
        environment: Option<&EnvironmentId>,
        page: &PageRequest<KnowledgeConnectorId>,
    ) -> Result<Page<KnowledgeConnector, KnowledgeConnectorId>, StoreError> {
        let rows = sqlx::query(columns!(
            "AND organization_id = $1 AND ($2 = '' OR environment_id = $2) AND id < $3 ORDER BY id DESC LIMIT $4"
        ))
        .bind(self.organization.to_string())
        .bind(environment.map(ToString::to_string).unwrap_or_default())
        .bind(page.bound())
        .bind(page.rows())
        .fetch_all(self.pool)
        .await?;
        let items = rows.iter().map(KnowledgeConnector::read);
        let items = items.collect::<Result<_, StoreError>>()?;
        Ok(Page::of(items, page, |found: &KnowledgeConnector| {
            found.id.clone()
        }))
    }

    /// One connector.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn knowledge_connector(
        &self,
        id: &KnowledgeConnectorId,
    ) -> Result<Option<KnowledgeConnector>, StoreError> {
        find(self.pool, self.organization, id).await
    }
}

impl Change {
    /// How many connectors there are, as this change sees it.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn count_knowledge_connectors(&mut self) -> Result<i64, StoreError> {
        let organization = self.organization().to_string();
        let row = sqlx::query(
            "SELECT COUNT(*) AS connectors FROM knowledge_connector WHERE organization_id = $1 AND deleted_at IS NULL",
        )
        .bind(organization)
        .fetch_one(self.connection())
        .await?;
        row.value("connectors")
    }

    /// One connector, as this change sees it.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn knowledge_connector(
        &mut self,
        id: &KnowledgeConnectorId,
    ) -> Result<Option<KnowledgeConnector>, StoreError> {
        let organization = self.organization().clone();
        find(self.connection(), &organization, id).await
    }

    /// Makes a connector, whose first sync is due then; never, if that is `None`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Taken`] if there is one of this name, [`StoreError::Referred`] if there is no such environment.
    pub async fn insert_knowledge_connector(
        &mut self,
        id: KnowledgeConnectorId,
        values: KnowledgeConnectorValues,
        wanted_at: Option<Timestamp>,
    ) -> Result<KnowledgeConnector, StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        sqlx::query(
            "INSERT INTO knowledge_connector (id, organization_id, environment_id, name, name_key, kind, config, version, created_at, updated_at, \
             sync_state, wanted_at) VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8, $8, $9, $10)",
        )
        .bind(id.to_string())
        .bind(organization)
        .bind(values.environment.to_string())
        .bind(values.name.clone())
        .bind(name_key(&values.name))
        .bind(values.kind.clone())
        .bind(values.config.clone())
        .bind(at)
        .bind(KnowledgeSyncState::Never.as_str())
        .bind(wanted_at.map(Timestamp::as_microsecond))
        .execute(self.connection())
        .await?;
        Ok(KnowledgeConnector {
            id,
            values,
            version: 1,
            created_at: self.at(),
            updated_at: self.at(),
            documents: 0,
            bytes: 0,
            sync: KnowledgeSync {
                state: KnowledgeSyncState::Never,
                started_at: None,
                ended_at: None,
                counts: None,
                error: None,
                cursor: None,
                wanted_at,
            },
        })
    }

    /// Changes a connector that is as it was read. A sync that runs ends, and the next one is due then.
    ///
    /// # Errors
    ///
    /// [`StoreError::Stale`] if it was changed since, [`StoreError::Taken`] if there is another one of this name.
    pub async fn update_knowledge_connector(
        &mut self,
        read: &KnowledgeConnector,
        values: KnowledgeConnectorValues,
        wanted_at: Option<Timestamp>,
    ) -> Result<KnowledgeConnector, StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        let done = sqlx::query(
            "UPDATE knowledge_connector SET environment_id = $4, name = $5, name_key = $6, config = $7, version = version + 1, updated_at = $8, \
             wanted_at = $9 WHERE organization_id = $1 AND id = $2 AND version = $3 AND deleted_at IS NULL",
        )
        .bind(organization)
        .bind(read.id.to_string())
        .bind(read.version)
        .bind(values.environment.to_string())
        .bind(values.name.clone())
        .bind(name_key(&values.name))
        .bind(values.config.clone())
        .bind(at)
        .bind(wanted_at.map(Timestamp::as_microsecond))
        .execute(self.connection())
        .await?;
        if done.rows_affected() != 1 {
            return Err(StoreError::Stale);
        }
        if values.config != read.values.config {
            self.forget_revisions(&read.id).await?;
        }
        Ok(KnowledgeConnector {
            values,
            version: read.version + 1,
            updated_at: self.at(),
            sync: KnowledgeSync {
                wanted_at,
                ..read.sync.clone()
            },
            ..read.clone()
        })
    }

    /// What was read of another source, or in another way, counts as changed: it is read again, and stays until then.
    async fn forget_revisions(&mut self, id: &KnowledgeConnectorId) -> Result<(), StoreError> {
        let id = id.to_string();
        sqlx::query("UPDATE knowledge_connector SET sync_cursor = NULL WHERE id = $1")
            .bind(id.clone())
            .execute(self.connection())
            .await?;
        sqlx::query(
            "UPDATE knowledge_document SET revision = 'of another source' WHERE connector_id = $1 AND revision IS NOT NULL",
        )
        .bind(id)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Deletes a connector; whether there was one. Nobody finds anything of it any more, its name is free, and its sync ends. What is left of it
    /// is for [`crate::Store::sweep_knowledge`].
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn delete_knowledge_connector(
        &mut self,
        id: &KnowledgeConnectorId,
    ) -> Result<bool, StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        // No name has the form of an id and a space behind it: names are trimmed.
        let done = sqlx::query(
            "UPDATE knowledge_connector SET deleted_at = $3, environment_id = NULL, name_key = $4, wanted_at = NULL, runner = NULL, \
             runner_until = NULL, runner_number = runner_number + 1 WHERE organization_id = $1 AND id = $2 AND deleted_at IS NULL",
        )
        .bind(organization)
        .bind(id.to_string())
        .bind(at)
        .bind(format!("{id} "))
        .execute(self.connection())
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Has a connector synced at this moment, or as soon as the sync that runs has ended; whether there is one.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn want_knowledge_sync(
        &mut self,
        id: &KnowledgeConnectorId,
    ) -> Result<bool, StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        let done = sqlx::query(
            "UPDATE knowledge_connector SET wanted_at = $3 WHERE organization_id = $1 AND id = $2 AND deleted_at IS NULL",
        )
        .bind(organization)
        .bind(id.to_string())
        .bind(at)
        .execute(self.connection())
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Has the sync of a connector end; whether one runs.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn cancel_knowledge_sync(
        &mut self,
        id: &KnowledgeConnectorId,
    ) -> Result<bool, StoreError> {
        let organization = self.organization().to_string();
        let done = sqlx::query(
            "UPDATE knowledge_connector SET cancelled = 1 WHERE organization_id = $1 AND id = $2 AND runner IS NOT NULL AND deleted_at IS NULL",
        )
        .bind(organization)
        .bind(id.to_string())
        .execute(self.connection())
        .await?;
        Ok(done.rows_affected() == 1)
    }
}
