//! Files.

use bailiwick_model::{ContentId, FileId, OrganizationId, SessionId};
use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{Any, Executor};

use crate::change::Change;
use crate::error::StoreError;
use crate::page::{Page, PageRequest};
use crate::row::Columns;
use crate::store::{Scope, Store};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, filename, mime_type, size_bytes, sha256, downloadable, session_id, content_id, created_at, expires_at \
             FROM file WHERE organization_id = $1 ",
            $rest
        )
    };
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its id.
    pub id: FileId,
    /// What it was called where it comes from.
    pub filename: String,
    /// Its media type, as whoever made it said.
    pub mime_type: String,
    /// How long it is.
    pub size_bytes: i64,
    /// Of its bytes.
    pub sha256: [u8; 32],
    /// Whether its bytes may be read by clients.
    pub downloadable: bool,
    /// The session that left it behind, or whose copy it is.
    pub session: Option<SessionId>,
    /// Its bytes; none once it has expired and was swept.
    pub content: Option<ContentId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is not there any more.
    pub expires_at: Option<Timestamp>,
}

/// One to be made.
#[derive(Debug, Clone)]
pub struct NewFile {
    /// Its id.
    pub id: FileId,
    /// See [`File`], as what follows.
    pub filename: String,
    /// Its media type.
    pub mime_type: String,
    /// How long it is.
    pub size_bytes: i64,
    /// Of its bytes.
    pub sha256: [u8; 32],
    /// Whether its bytes may be read by clients.
    pub downloadable: bool,
    /// The session that it belongs to.
    pub session: Option<SessionId>,
    /// Its bytes: all of them have arrived.
    pub content: ContentId,
    /// From when on it is not there any more.
    pub expires_at: Option<Timestamp>,
}

/// What there is of some files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FileTotals {
    /// How many.
    pub files: i64,
    /// How long they are together.
    pub bytes: i64,
}

/// A file whose time is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpiredFile {
    /// Whose it is.
    pub organization: OrganizationId,
    /// Its id.
    pub id: FileId,
}

impl File {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id("id")?,
            filename: row.value("filename")?,
            mime_type: row.value("mime_type")?,
            size_bytes: row.value("size_bytes")?,
            sha256: row.hash("sha256")?,
            downloadable: row.flag("downloadable")?,
            session: row.optional_id("session_id")?,
            content: row.optional_id("content_id")?,
            created_at: row.time("created_at")?,
            expires_at: row.optional_time("expires_at")?,
        })
    }

    /// Whether its time is over.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|expires| expires <= now)
    }
}

async fn find<'e>(
    executor: impl Executor<'e, Database = Any>,
    organization: String,
    id: &FileId,
) -> Result<Option<File>, StoreError> {
    let row = sqlx::query(select!("AND id = $2"))
        .bind(organization)
        .bind(id.to_string())
        .fetch_optional(executor)
        .await?;
    row.as_ref().map(File::read).transpose()
}

impl Store {
    /// Files of all organizations whose time is over and whose bytes are still there.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn expired_files(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<ExpiredFile>, StoreError> {
        let rows = sqlx::query(
            "SELECT organization_id, id FROM file WHERE expires_at IS NOT NULL AND expires_at <= $1 AND content_id IS NOT NULL \
             ORDER BY expires_at LIMIT $2",
        )
        .bind(now.as_microsecond())
        .bind(i64::from(limit))
        .fetch_all(self.reader())
        .await?;
        let expired = |row: &AnyRow| {
            Ok(ExpiredFile {
                organization: row.id("organization_id")?,
                id: row.id("id")?,
            })
        };
        rows.iter().map(expired).collect()
    }

    /// Forgets files of all organizations that expired and were swept before `before`; that they went was entered then.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn forget_expired_files(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut transaction = self.begin().await?;
        let done = sqlx::query(
            "DELETE FROM file WHERE expires_at IS NOT NULL AND expires_at < $1 AND content_id IS NULL",
        )
        .bind(before.as_microsecond())
        .execute(transaction.connection())
        .await?;
        transaction.commit().await?;
        Ok(done.rows_affected())
    }
}

impl Scope<'_> {
    /// One file, expired or not.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn file(&self, id: &FileId) -> Result<Option<File>, StoreError> {
        find(self.pool, self.organization.to_string(), id).await
    }

    /// Files that have not expired, the newest first; of one session, if one is named.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn files(
        &self,
        page: &PageRequest<FileId>,
        session: Option<&SessionId>,
        now: Timestamp,
    ) -> Result<Page<File, FileId>, StoreError> {
        let query = match session {
            None => sqlx::query(select!(
                "AND id < $2 AND (expires_at IS NULL OR expires_at > $3) ORDER BY id DESC LIMIT $4"
            )),
            Some(_) => sqlx::query(select!(
                "AND id < $2 AND (expires_at IS NULL OR expires_at > $3) AND session_id = $5 ORDER BY id DESC LIMIT $4"
            )),
        };
        let query = query
            .bind(self.organization.to_string())
            .bind(page.bound())
            .bind(now.as_microsecond())
            .bind(page.rows());
        let query = match session {
            None => query,
            Some(session) => query.bind(session.to_string()),
        };
        let rows = query.fetch_all(self.pool).await?;
        let items = rows.iter().map(File::read).collect::<Result<_, _>>()?;
        Ok(Page::of(items, page, |file: &File| file.id.clone()))
    }

    /// Files that have not expired and are newer than `oldest`, those next to it, the newest first; `next` is where even newer ones begin.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn newer_files(
        &self,
        oldest: &FileId,
        limit: u32,
        session: Option<&SessionId>,
        now: Timestamp,
    ) -> Result<Page<File, FileId>, StoreError> {
        let query = match session {
            None => sqlx::query(select!(
                "AND id > $2 AND (expires_at IS NULL OR expires_at > $3) ORDER BY id LIMIT $4"
            )),
            Some(_) => sqlx::query(select!(
                "AND id > $2 AND (expires_at IS NULL OR expires_at > $3) AND session_id = $5 ORDER BY id LIMIT $4"
            )),
        };
        let page = PageRequest {
            before: Some(oldest.clone()),
            limit,
        };
        let query = query
            .bind(self.organization.to_string())
            .bind(oldest.to_string())
            .bind(now.as_microsecond())
            .bind(page.rows());
        let query = match session {
            None => query,
            Some(session) => query.bind(session.to_string()),
        };
        let rows = query.fetch_all(self.pool).await?;
        let items = rows.iter().map(File::read).collect::<Result<_, _>>()?;
        let mut found = Page::of(items, &page, |file: &File| file.id.clone());
        found.items.reverse();
        Ok(found)
    }

    /// What a session left behind and is there: its copies of files are none of it.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn session_outputs(&self, session: &SessionId) -> Result<FileTotals, StoreError> {
        let row = sqlx::query(
            "SELECT COUNT(*) AS files, CAST(COALESCE(SUM(size_bytes), 0) AS BIGINT) AS bytes FROM file \
             WHERE organization_id = $1 AND session_id = $2 \
             AND NOT EXISTS (SELECT 1 FROM session_resource WHERE session_resource.file_id = file.id)",
        )
        .bind(self.organization.to_string())
        .bind(session.to_string())
        .fetch_one(self.pool)
        .await?;
        Ok(FileTotals {
            files: row.value("files")?,
            bytes: row.value("bytes")?,
        })
    }
}

impl Change {
    /// One file, as this change sees it, expired or not.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn file(&mut self, id: &FileId) -> Result<Option<File>, StoreError> {
        let organization = self.organization().to_string();
        find(self.connection(), organization, id).await
    }

    /// Makes a file of content that has arrived.
    ///
    /// # Errors
    ///
    /// [`StoreError::Stale`] if the content is being swept.
    pub async fn insert_file(&mut self, new: NewFile) -> Result<File, StoreError> {
        self.keep_content(&new.content).await?;
        let (organization, at) = (self.organization().to_string(), self.micros());
        let made = File {
            id: new.id,
            filename: new.filename,
            mime_type: new.mime_type,
            size_bytes: new.size_bytes,
            sha256: new.sha256,
            downloadable: new.downloadable,
            session: new.session,
            content: Some(new.content),
            created_at: self.at(),
            expires_at: new.expires_at,
        };
        sqlx::query(
            "INSERT INTO file (id, organization_id, filename, mime_type, size_bytes, sha256, downloadable, session_id, content_id, \
             created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind(made.id.to_string())
        .bind(organization)
        .bind(made.filename.clone())
        .bind(made.mime_type.clone())
        .bind(made.size_bytes)
        .bind(made.sha256.to_vec())
        .bind(i64::from(made.downloadable))
        .bind(made.session.as_ref().map(ToString::to_string))
        .bind(made.content.as_ref().map(ToString::to_string))
        .bind(at)
        .bind(made.expires_at.map(Timestamp::as_microsecond))
        .execute(self.connection())
        .await?;
        Ok(made)
    }

    /// Deletes a file; its bytes go with the next sweep, if no other file has them.
    ///
    /// # Errors
    ///
    /// [`StoreError::Stale`] if it is gone already.
    pub async fn delete_file(&mut self, file: &File) -> Result<(), StoreError> {
        let organization = self.organization().to_string();
        let done = sqlx::query("DELETE FROM file WHERE organization_id = $1 AND id = $2")
            .bind(organization)
            .bind(file.id.to_string())
            .execute(self.connection())
            .await?;
        self.let_go(file, done.rows_affected()).await
    }

    /// Deletes all files of a session; their bytes go with the next sweep, if no other file has them.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub(crate) async fn delete_session_files(
        &mut self,
        session: &SessionId,
    ) -> Result<(), StoreError> {
        let organization = self.organization().to_string();
        let rows = sqlx::query(
            "DELETE FROM file WHERE organization_id = $1 AND session_id = $2 RETURNING content_id",
        )
        .bind(organization)
        .bind(session.to_string())
        .fetch_all(self.connection())
        .await?;
        // In one order, so that two that delete copies of the same files do not wait for each other.
        let mut contents = std::collections::BTreeSet::new();
        for row in &rows {
            contents.extend(row.optional_id::<ContentId>("content_id")?);
        }
        for content in &contents {
            self.release_content(content).await?;
        }
        Ok(())
    }

    /// Takes the bytes of a file that has expired; what remains is that it was there.
    ///
    /// # Errors
    ///
    /// [`StoreError::Stale`] if somebody did already.
    pub async fn expire_file(&mut self, file: &File) -> Result<(), StoreError> {
        let organization = self.organization().to_string();
        let done = sqlx::query(
            "UPDATE file SET content_id = NULL WHERE organization_id = $1 AND id = $2 AND content_id IS NOT NULL",
        )
        .bind(organization)
        .bind(file.id.to_string())
        .execute(self.connection())
        .await?;
        self.let_go(file, done.rows_affected()).await
    }

    async fn let_go(&mut self, file: &File, rows: u64) -> Result<(), StoreError> {
        if rows != 1 {
            return Err(StoreError::Stale);
        }
        match &file.content {
            Some(content) => self.release_content(content).await,
            None => Ok(()),
        }
    }
}
