//! Documents of knowledge connectors.

use std::collections::BTreeMap;

use bailiwick_model::limits::{KNOWLEDGE_KEPT_BYTES, KNOWLEDGE_KEPT_DOCUMENTS};
use bailiwick_model::{KnowledgeConnectorId, KnowledgeDocumentId};
use jiff::Timestamp;
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use crate::error::StoreError;
use crate::knowledge_chunk::{
    CHUNKS_OF_CONNECTOR, ChunkPlace, NewKnowledgeChunk, delete_chunks, insert_chunks,
};
use crate::knowledge_sync::KnowledgeRun;
use crate::page::{Page, PageRequest};
use crate::row::Columns;
use crate::store::{Scope, Store};
use crate::transaction::Transaction;

/// A document that was read, as it is to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKnowledgeDocument {
    /// Its id, if it was not kept before.
    pub id: KnowledgeDocumentId,
    /// What its source calls it.
    pub key: String,
    /// By what its next change is seen.
    pub revision: String,
    /// For people.
    pub title: String,
    /// Where people find it.
    pub link: Option<String>,
    /// What its text was: a word.
    pub kind: &'static str,
    /// Bytes of its pieces, the title and headings of each among them.
    pub bytes: i64,
    /// When it last changed, if its source knows.
    pub updated_at: Option<Timestamp>,
    /// Its text, in pieces.
    pub chunks: Vec<NewKnowledgeChunk>,
}

/// A document that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnowledgeDocument {
    /// Its id.
    pub id: KnowledgeDocumentId,
    /// What its source calls it.
    pub key: String,
    /// For people.
    pub title: String,
    /// Where people find it.
    pub link: Option<String>,
    /// What its text was; none of one that could never be read.
    pub kind: Option<String>,
    /// Bytes of its pieces, the title and headings of each among them.
    pub bytes: i64,
    /// Pieces of its text.
    pub chunks: i64,
    /// When it changed, as its source says.
    pub updated_at: Option<Timestamp>,
    /// When it was read.
    pub read_at: Option<Timestamp>,
    /// Why it could not be read the last time.
    pub error: Option<String>,
    /// When that was.
    pub failed_at: Option<Timestamp>,
}

/// What is known of a document before a sync.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownDocument {
    /// By what a change is seen; none of one that could never be read.
    pub revision: Option<String>,
    /// Whether it could not be read the last time.
    pub has_failed: bool,
}

/// What became of what a sync wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Kept {
    /// It is kept.
    Kept,
    /// The connector is not theirs any more, or is gone: nothing was written.
    Lost,
    /// The organization has as many documents, or bytes of them, as it may: nothing was written.
    Full,
}

/// Which documents are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KnowledgeDocuments {
    /// All.
    All,
    /// Those that could not be read the last time.
    Failed,
}

/// The connector of a run, locked.
struct Locked {
    connector: String,
    number: i64,
    next_chunk: i64,
}

/// A document that is there already.
struct Before {
    id: String,
    bytes: i64,
    chunks: i64,
}

impl KnowledgeDocument {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id("id")?,
            key: row.value("document_key")?,
            title: row.value("title")?,
            link: row.value("link")?,
            kind: row.value("kind")?,
            bytes: row.value("bytes")?,
            chunks: row.value("chunks")?,
            updated_at: row.optional_time("updated_at")?,
            read_at: row.optional_time("read_at")?,
            error: row.value("error")?,
            failed_at: row.optional_time("failed_at")?,
        })
    }
}

impl Scope<'_> {
    /// Documents of a connector, the newest first.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn knowledge_documents(
        &self,
        connector: &KnowledgeConnectorId,
        which: KnowledgeDocuments,
        page: &PageRequest<KnowledgeDocumentId>,
    ) -> Result<Page<KnowledgeDocument, KnowledgeDocumentId>, StoreError> {
        let which = match which {
            KnowledgeDocuments::All => "",
            KnowledgeDocuments::Failed => "AND d.error IS NOT NULL",
        };
        let statement = format!(
            "SELECT d.id, d.document_key, d.title, d.link, d.kind, d.bytes, d.chunks, d.updated_at, d.read_at, d.error, d.failed_at \
             FROM knowledge_connector k JOIN knowledge_document d ON d.connector_id = k.id \
             WHERE k.organization_id = $1 AND k.id = $2 AND k.deleted_at IS NULL AND d.id < $3 {which} ORDER BY d.id DESC LIMIT $4"
        );
        // It is made of words of this function alone.
        let rows = sqlx::query(AssertSqlSafe(statement))
            .bind(self.organization.to_string())
            .bind(connector.to_string())
            .bind(page.bound())
            .bind(page.rows())
            .fetch_all(self.pool)
            .await?;
        let items = rows.iter().map(KnowledgeDocument::read);
        let items = items.collect::<Result<_, StoreError>>()?;
        Ok(Page::of(items, page, |found: &KnowledgeDocument| {
            found.id.clone()
        }))
    }
}

impl Store {
    /// What is known of the documents of a connector, by key.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn known_documents(
        &self,
        run: &KnowledgeRun,
    ) -> Result<BTreeMap<String, KnownDocument>, StoreError> {
        let rows = sqlx::query(
            "SELECT d.document_key, d.revision, CAST(CASE WHEN d.error IS NULL THEN 0 ELSE 1 END AS BIGINT) AS has_failed FROM knowledge_connector k \
             JOIN knowledge_document d ON d.connector_id = k.id WHERE k.organization_id = $1 AND k.id = $2",
        )
        .bind(run.organization.to_string())
        .bind(run.connector.to_string())
        .fetch_all(self.reader())
        .await?;
        let read = |row: &AnyRow| {
            let known = KnownDocument {
                revision: row.value("revision")?,
                has_failed: row.flag("has_failed")?,
            };
            Ok((row.value("document_key")?, known))
        };
        rows.iter().map(read).collect()
    }

    /// Keeps a document, with its chunks in the place of those that it had: whoever searches finds all of the new ones, or all of the old.
    /// Where several syncs of an organization write at once, its bounds may be passed by one document of each.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn keep_knowledge_document(
        &self,
        run: &KnowledgeRun,
        now: Timestamp,
        document: &NewKnowledgeDocument,
    ) -> Result<Kept, StoreError> {
        let mut transaction = self.begin_shared().await?;
        let chunks = count(document.chunks.len());
        let Some(locked) = lock(&mut transaction, run, now, chunks).await? else {
            transaction.undo().await?;
            return Ok(Kept::Lost);
        };
        let before = find(&mut transaction, &locked.connector, &document.key).await?;
        let more = i64::from(before.is_none());
        let bytes = document.bytes - before.as_ref().map_or(0, |before| before.bytes);
        let fits = has_room(&mut transaction, run, (more, bytes)).await?;
        if !fits || locked.next_chunk > CHUNKS_OF_CONNECTOR {
            transaction.undo().await?;
            return Ok(Kept::Full);
        }
        let id = match &before {
            Some(before) => {
                if before.chunks > 0 {
                    delete_chunks(&mut transaction, &before.id).await?;
                }
                update(&mut transaction, &before.id, now, document).await?;
                before.id.clone()
            }
            None => {
                insert(&mut transaction, &locked.connector, now, document).await?;
                document.id.to_string()
            }
        };
        let first = locked.number * CHUNKS_OF_CONNECTOR + locked.next_chunk - chunks;
        let place = ChunkPlace {
            document: &id,
            title: &document.title,
            connector: locked.number,
            first,
        };
        insert_chunks(&mut transaction, self.dialect(), &place, &document.chunks).await?;
        weigh(&mut transaction, &locked.connector, (more, bytes)).await?;
        transaction.commit().await?;
        Ok(Kept::Kept)
    }

    /// Takes a document away with its chunks, if it is there.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn drop_knowledge_document(
        &self,
        run: &KnowledgeRun,
        now: Timestamp,
        key: &str,
    ) -> Result<Kept, StoreError> {
        let mut transaction = self.begin_shared().await?;
        let Some(locked) = lock(&mut transaction, run, now, 0).await? else {
            transaction.undo().await?;
            return Ok(Kept::Lost);
        };
        if let Some(before) = find(&mut transaction, &locked.connector, key).await? {
            delete_document(&mut transaction, &before.id).await?;
            weigh(&mut transaction, &locked.connector, (-1, -before.bytes)).await?;
        }
        transaction.commit().await?;
        Ok(Kept::Kept)
    }

    /// Notes why a document could not be read. What was known of it stays.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn fail_knowledge_document(
        &self,
        run: &KnowledgeRun,
        now: Timestamp,
        (id, key, title): (&KnowledgeDocumentId, &str, &str),
        error: &str,
    ) -> Result<Kept, StoreError> {
        let mut transaction = self.begin_shared().await?;
        let Some(locked) = lock(&mut transaction, run, now, 0).await? else {
            transaction.undo().await?;
            return Ok(Kept::Lost);
        };
        let before = find(&mut transaction, &locked.connector, key).await?;
        if before.is_none() && !has_room(&mut transaction, run, (1, 0)).await? {
            transaction.undo().await?;
            return Ok(Kept::Full);
        }
        sqlx::query(
            "INSERT INTO knowledge_document (id, connector_id, document_key, title, bytes, chunks, error, failed_at) \
             VALUES ($1, $2, $3, $4, 0, 0, $5, $6) \
             ON CONFLICT (connector_id, document_key) DO UPDATE SET error = excluded.error, failed_at = excluded.failed_at",
        )
        .bind(id.to_string())
        .bind(locked.connector.clone())
        .bind(key.to_owned())
        .bind(title.to_owned())
        .bind(error.to_owned())
        .bind(now.as_microsecond())
        .execute(transaction.connection())
        .await?;
        if before.is_none() {
            weigh(&mut transaction, &locked.connector, (1, 0)).await?;
        }
        transaction.commit().await?;
        Ok(Kept::Kept)
    }

    /// Notes that a document that could not be read is as it was known after all.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn forgive_knowledge_document(
        &self,
        run: &KnowledgeRun,
        now: Timestamp,
        key: &str,
    ) -> Result<Kept, StoreError> {
        let mut transaction = self.begin_shared().await?;
        let Some(locked) = lock(&mut transaction, run, now, 0).await? else {
            transaction.undo().await?;
            return Ok(Kept::Lost);
        };
        sqlx::query(
            "UPDATE knowledge_document SET error = NULL, failed_at = NULL WHERE connector_id = $1 AND document_key = $2",
        )
        .bind(locked.connector)
        .bind(key.to_owned())
        .execute(transaction.connection())
        .await?;
        transaction.commit().await?;
        Ok(Kept::Kept)
    }

    /// Takes away documents that could never be read and that a sync which began then has not met: they are not there any more.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn drop_unread_documents(
        &self,
        run: &KnowledgeRun,
        now: Timestamp,
        began: Timestamp,
    ) -> Result<Kept, StoreError> {
        let mut transaction = self.begin_shared().await?;
        let Some(locked) = lock(&mut transaction, run, now, 0).await? else {
            transaction.undo().await?;
            return Ok(Kept::Lost);
        };
        let gone = sqlx::query(
            "DELETE FROM knowledge_document WHERE connector_id = $1 AND revision IS NULL AND failed_at < $2",
        )
        .bind(locked.connector.clone())
        .bind(began.as_microsecond())
        .execute(transaction.connection())
        .await?;
        let gone = i64::try_from(gone.rows_affected()).unwrap_or(i64::MAX);
        weigh(&mut transaction, &locked.connector, (-gone, 0)).await?;
        transaction.commit().await?;
        Ok(Kept::Kept)
    }

    /// Takes away what is left of a connector that was deleted: some documents, and itself once there are none. Whether there may be more to do.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn sweep_knowledge(&self, limit: u32) -> Result<bool, StoreError> {
        let mut transaction = self.begin_shared().await?;
        let row = sqlx::query(
            "SELECT id FROM knowledge_connector WHERE deleted_at IS NOT NULL ORDER BY id LIMIT 1",
        )
        .fetch_optional(transaction.connection())
        .await?;
        let Some(row) = row else {
            transaction.undo().await?;
            return Ok(false);
        };
        let connector: String = row.value("id")?;
        let gone = sqlx::query(
            "DELETE FROM knowledge_document WHERE id IN (SELECT id FROM knowledge_document WHERE connector_id = $1 LIMIT $2)",
        )
        .bind(connector.clone())
        .bind(i64::from(limit))
        .execute(transaction.connection())
        .await?;
        if gone.rows_affected() == 0 {
            sqlx::query("DELETE FROM knowledge_connector WHERE id = $1")
                .bind(connector)
                .execute(transaction.connection())
                .await?;
        }
        transaction.commit().await?;
        Ok(true)
    }
}

fn count(many: usize) -> i64 {
    i64::try_from(many).unwrap_or(i64::MAX)
}

/// The connector of a run that still is one, with room for chunks; nobody else writes to it before the end of the transaction.
async fn lock(
    transaction: &mut Transaction,
    run: &KnowledgeRun,
    now: Timestamp,
    chunks: i64,
) -> Result<Option<Locked>, StoreError> {
    let row = sqlx::query(
        "UPDATE knowledge_connector SET next_chunk = next_chunk + $6 WHERE organization_id = $1 AND id = $2 AND runner_number = $3 AND runner = $4 \
         AND runner_until > $5 AND deleted_at IS NULL RETURNING number, next_chunk",
    )
    .bind(run.organization.to_string())
    .bind(run.connector.to_string())
    .bind(run.number)
    .bind(run.holder.clone())
    .bind(now.as_microsecond())
    .bind(chunks)
    .fetch_optional(transaction.connection())
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Locked {
        connector: run.connector.to_string(),
        number: row.value("number")?,
        next_chunk: row.value("next_chunk")?,
    }))
}

async fn find(
    transaction: &mut Transaction,
    connector: &str,
    key: &str,
) -> Result<Option<Before>, StoreError> {
    let row = sqlx::query(
        "SELECT id, bytes, chunks FROM knowledge_document WHERE connector_id = $1 AND document_key = $2",
    )
    .bind(connector.to_owned())
    .bind(key.to_owned())
    .fetch_optional(transaction.connection())
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Before {
        id: row.value("id")?,
        bytes: row.value("bytes")?,
        chunks: row.value("chunks")?,
    }))
}

/// Whether the organization may have so many documents and bytes more. What gets smaller always fits.
async fn has_room(
    transaction: &mut Transaction,
    run: &KnowledgeRun,
    (documents, bytes): (i64, i64),
) -> Result<bool, StoreError> {
    if documents <= 0 && bytes <= 0 {
        return Ok(true);
    }
    let row = sqlx::query(
        "SELECT CAST(SUM(documents) AS BIGINT) AS documents, CAST(SUM(bytes) AS BIGINT) AS bytes FROM knowledge_connector WHERE organization_id = $1",
    )
    .bind(run.organization.to_string())
    .fetch_one(transaction.connection())
    .await?;
    let has = |column| {
        row.value::<Option<i64>>(column)
            .map(Option::unwrap_or_default)
    };
    Ok(has("documents")? + documents <= KNOWLEDGE_KEPT_DOCUMENTS
        && has("bytes")? + bytes <= KNOWLEDGE_KEPT_BYTES)
}

/// Counts what the connector has more, or less.
async fn weigh(
    transaction: &mut Transaction,
    connector: &str,
    (documents, bytes): (i64, i64),
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE knowledge_connector SET documents = documents + $2, bytes = bytes + $3 WHERE id = $1",
    )
    .bind(connector.to_owned())
    .bind(documents)
    .bind(bytes)
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Its chunks go with it.
async fn delete_document(transaction: &mut Transaction, document: &str) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM knowledge_document WHERE id = $1")
        .bind(document.to_owned())
        .execute(transaction.connection())
        .await?;
    Ok(())
}

async fn update(
    transaction: &mut Transaction,
    id: &str,
    now: Timestamp,
    document: &NewKnowledgeDocument,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE knowledge_document SET revision = $2, title = $3, link = $4, kind = $5, bytes = $6, chunks = $7, updated_at = $8, read_at = $9, \
         error = NULL, failed_at = NULL WHERE id = $1",
    )
    .bind(id.to_owned())
    .bind(document.revision.clone())
    .bind(document.title.clone())
    .bind(document.link.clone())
    .bind(document.kind)
    .bind(document.bytes)
    .bind(count(document.chunks.len()))
    .bind(document.updated_at.map(Timestamp::as_microsecond))
    .bind(now.as_microsecond())
    .execute(transaction.connection())
    .await?;
    Ok(())
}

async fn insert(
    transaction: &mut Transaction,
    connector: &str,
    now: Timestamp,
    document: &NewKnowledgeDocument,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO knowledge_document (id, connector_id, document_key, revision, title, link, kind, bytes, chunks, updated_at, read_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(document.id.to_string())
    .bind(connector.to_owned())
    .bind(document.key.clone())
    .bind(document.revision.clone())
    .bind(document.title.clone())
    .bind(document.link.clone())
    .bind(document.kind)
    .bind(document.bytes)
    .bind(count(document.chunks.len()))
    .bind(document.updated_at.map(Timestamp::as_microsecond))
    .bind(now.as_microsecond())
    .execute(transaction.connection())
    .await?;
    Ok(())
}
