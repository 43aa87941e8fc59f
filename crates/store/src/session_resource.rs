//! What sessions have: files and repositories, and the sealed tokens of those.
//!
//! All that changes them changes a session that was locked.

use std::collections::BTreeMap;

use bailiwick_model::{ContentId, FileId, SessionId, SessionResourceId};
use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{Any, Executor};

use crate::change::Change;
use crate::credential_secret::{OwnedSecret, SealedSecret, SecretOwner};
use crate::error::StoreError;
use crate::row::Columns;
use crate::store::Scope;

/// The name of a repository's one secret.
const TOKEN: &str = "authorization_token";
/// How many sessions one query asks for the resources of.
const SESSIONS: usize = 20;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, session_id, position, mount_path, file_id, repository_url, repository_checkout, created_at, updated_at FROM session_resource \
             WHERE organization_id = $1 ",
            $rest
        )
    };
}

/// What a session has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionResourceKind {
    /// A file, which is the session's own copy.
    File(FileId),
    /// A repository.
    Repository {
        /// Where it is.
        url: String,
        /// A branch or a commit, as the wire writes it; none is the default branch.
        checkout: Option<String>,
    },
}

/// Something that a session has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionResource {
    /// Its id.
    pub id: SessionResourceId,
    /// Whose it is.
    pub session: SessionId,
    /// Its place among what the session got.
    pub position: i64,
    /// Where it is in the session's sandbox.
    pub mount_path: String,
    /// What it is.
    pub kind: SessionResourceKind,
    /// When it came to the session.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// One to be made.
#[derive(Debug, Clone)]
pub struct NewSessionResource {
    /// Its id.
    pub id: SessionResourceId,
    /// Whose it is.
    pub session: SessionId,
    /// Its place among what the session got.
    pub position: i64,
    /// Where it is in the session's sandbox.
    pub mount_path: String,
    /// What it is.
    pub kind: SessionResourceKind,
}

impl SessionResource {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        let kind = match row.optional_id("file_id")? {
            Some(file) => SessionResourceKind::File(file),
            None => SessionResourceKind::Repository {
                url: row.value("repository_url")?,
                checkout: row.value("repository_checkout")?,
            },
        };
        Ok(Self {
            id: row.id("id")?,
            session: row.id("session_id")?,
            position: row.value("position")?,
            mount_path: row.value("mount_path")?,
            kind,
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
        })
    }
}

async fn all_of<'e>(
    executor: impl Executor<'e, Database = Any>,
    organization: String,
    session: &SessionId,
) -> Result<Vec<SessionResource>, StoreError> {
    let rows = sqlx::query(select!("AND session_id = $2 ORDER BY position, id"))
        .bind(organization)
        .bind(session.to_string())
        .fetch_all(executor)
        .await?;
    rows.iter().map(SessionResource::read).collect()
}

impl Scope<'_> {
    /// What a session has, the oldest first.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn session_resources(
        &self,
        session: &SessionId,
    ) -> Result<Vec<SessionResource>, StoreError> {
        all_of(self.pool, self.organization.to_string(), session).await
    }

    /// What some sessions have, in the order of their ids, and for each the oldest first.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn resources_of_sessions(
        &self,
        sessions: &[&SessionId],
    ) -> Result<Vec<SessionResource>, StoreError> {
        let mut found = Vec::new();
        for some in sessions.chunks(SESSIONS) {
            let mut query = sqlx::query(select!(
                "AND session_id IN ($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21) \
                 ORDER BY session_id, position, id"
            ))
            .bind(self.organization.to_string());
            for index in 0..SESSIONS {
                query = query.bind(some.get(index).map(ToString::to_string).unwrap_or_default());
            }
            for row in &query.fetch_all(self.pool).await? {
                found.push(SessionResource::read(row)?);
            }
        }
        found.sort_by(|one, other| {
            (&one.session, one.position).cmp(&(&other.session, other.position))
        });
        Ok(found)
    }

    /// The sealed token of a repository.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn session_resource_secret(
        &self,
        id: &SessionResourceId,
    ) -> Result<Option<SealedSecret>, StoreError> {
        let row = sqlx::query(
            "SELECT sealing_key, sealed FROM session_resource_secret WHERE organization_id = $1 AND resource_id = $2",
        )
        .bind(self.organization.to_string())
        .bind(id.to_string())
        .fetch_optional(self.pool)
        .await?;
        let token = |row| SealedSecret::only(TOKEN, row);
        row.as_ref().map(token).transpose()
    }

    /// Tokens of repositories that are sealed with one key, in the order of the resources, after one of them.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn resource_secrets_sealed_with(
        &self,
        key: &str,
        after: Option<&SessionResourceId>,
        limit: u32,
    ) -> Result<Vec<OwnedSecret>, StoreError> {
        let rows = sqlx::query(
            "SELECT r.session_id, s.resource_id, s.sealing_key, s.sealed FROM session_resource_secret s \
             JOIN session_resource r ON r.id = s.resource_id AND r.organization_id = s.organization_id \
             WHERE s.organization_id = $1 AND s.sealing_key = $2 AND s.resource_id > $3 ORDER BY s.resource_id LIMIT $4",
        )
        .bind(self.organization.to_string())
        .bind(key.to_owned())
        .bind(after.map(ToString::to_string).unwrap_or_default())
        .bind(i64::from(limit))
        .fetch_all(self.pool)
        .await?;
        let read = |row: &AnyRow| {
            Ok(OwnedSecret {
                owner: SecretOwner::SessionResource {
                    session: row.id("session_id")?,
                    resource: row.id("resource_id")?,
                },
                secret: SealedSecret::only(TOKEN, row)?,
            })
        };
        rows.iter().map(read).collect()
    }
}

impl Change {
    /// What a session that this change has locked has, the oldest first.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn session_resources(
        &mut self,
        session: &SessionId,
    ) -> Result<Vec<SessionResource>, StoreError> {
        let organization = self.organization().to_string();
        all_of(self.connection(), organization, session).await
    }

    /// The bytes of the files that a session that this change has locked has, each content once.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn session_contents(
        &mut self,
        session: &SessionId,
    ) -> Result<BTreeMap<ContentId, i64>, StoreError> {
        let organization = self.organization().to_string();
        let rows = sqlx::query(
            "SELECT DISTINCT f.content_id, f.size_bytes FROM session_resource r \
             JOIN file f ON f.id = r.file_id AND f.organization_id = r.organization_id \
             WHERE r.organization_id = $1 AND r.session_id = $2 AND f.content_id IS NOT NULL",
        )
        .bind(organization)
        .bind(session.to_string())
        .fetch_all(self.connection())
        .await?;
        let read = |row: &AnyRow| Ok((row.id("content_id")?, row.value("size_bytes")?));
        rows.iter().map(read).collect()
    }

    /// Gives something to a session that this change has locked or made.
    ///
    /// # Errors
    ///
    /// [`StoreError::Referred`] if the file or the session does not exist.
    pub async fn insert_session_resource(
        &mut self,
        new: NewSessionResource,
    ) -> Result<SessionResource, StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        let made = SessionResource {
            id: new.id,
            session: new.session,
            position: new.position,
            mount_path: new.mount_path,
            kind: new.kind,
            created_at: self.at(),
            updated_at: self.at(),
        };
        let (file, url, checkout) = match made.kind.clone() {
            SessionResourceKind::File(file) => (Some(file.to_string()), None, None),
            SessionResourceKind::Repository { url, checkout } => (None, Some(url), checkout),
        };
        sqlx::query(
            "INSERT INTO session_resource (id, organization_id, session_id, position, mount_path, file_id, repository_url, \
             repository_checkout, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)",
        )
        .bind(made.id.to_string())
        .bind(organization)
        .bind(made.session.to_string())
        .bind(made.position)
        .bind(made.mount_path.clone())
        .bind(file)
        .bind(url)
        .bind(checkout)
        .bind(at)
        .execute(self.connection())
        .await?;
        Ok(made)
    }

    /// Sets the token of a repository of a session that this change has locked or made.
    ///
    /// # Errors
    ///
    /// [`StoreError::Stale`] if there is no such resource.
    pub async fn put_session_resource_secret(
        &mut self,
        resource: &SessionResource,
        secret: SealedSecret,
    ) -> Result<SessionResource, StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        let done = sqlx::query(
            "UPDATE session_resource SET updated_at = $3 WHERE organization_id = $1 AND id = $2",
        )
        .bind(organization.clone())
        .bind(resource.id.to_string())
        .bind(at)
        .execute(self.connection())
        .await?;
        if done.rows_affected() != 1 {
            return Err(StoreError::Stale);
        }
        sqlx::query(
            "INSERT INTO session_resource_secret (organization_id, resource_id, sealing_key, sealed) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (resource_id) DO UPDATE SET sealing_key = excluded.sealing_key, sealed = excluded.sealed \
             WHERE session_resource_secret.organization_id = excluded.organization_id",
        )
        .bind(organization)
        .bind(resource.id.to_string())
        .bind(secret.key)
        .bind(secret.sealed)
        .execute(self.connection())
        .await?;
        Ok(SessionResource {
            updated_at: self.at(),
            ..resource.clone()
        })
    }

    /// Takes something from a session that this change has locked, with its token, or with its copy of a file.
    ///
    /// # Errors
    ///
    /// [`StoreError::Stale`] if it is gone already.
    pub async fn delete_session_resource(
        &mut self,
        resource: &SessionResource,
    ) -> Result<(), StoreError> {
        let organization = self.organization().to_string();
        let done =
            sqlx::query("DELETE FROM session_resource WHERE organization_id = $1 AND id = $2")
                .bind(organization)
                .bind(resource.id.to_string())
                .execute(self.connection())
                .await?;
        if done.rows_affected() != 1 {
            return Err(StoreError::Stale);
        }
        let SessionResourceKind::File(id) = &resource.kind else {
            return Ok(());
        };
        match self.file(id).await? {
            Some(file) => self.delete_file(&file).await,
            None => Ok(()),
        }
    }
}
