//! Servers that answer for an organization's models, and the keys that they know it by, sealed.

use bailiwick_model::{ModelUpstreamId, OrganizationId};
use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{Any, Executor};

use crate::change::Change;
use crate::credential_secret::{OwnedSecret, SealedSecret, SecretOwner};
use crate::error::StoreError;
use crate::organization::name_key;
use crate::row::Columns;
use crate::store::Scope;

/// The name of an upstream's one secret.
const KEY: &str = "api_key";

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT u.id, u.name, u.priority, u.config, u.version, u.created_at, u.updated_at, s.sealing_key, s.sealed FROM model_upstream u \
             LEFT JOIN model_upstream_secret s ON s.upstream_id = u.id AND s.organization_id = u.organization_id \
             WHERE u.organization_id = $1 ",
            $rest
        )
    };
}

/// What of an upstream can be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelUpstreamValues {
    /// What people call it.
    pub name: String,
    /// The lowest is asked first.
    pub priority: i64,
    /// What else there is to say, as JSON.
    pub config: String,
}

/// A server that answers for models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelUpstream {
    /// Its id.
    pub id: ModelUpstreamId,
    /// What can be changed.
    pub values: ModelUpstreamValues,
    /// Its key, sealed, if it has one.
    pub key: Option<SealedSecret>,
    /// Counts its changes.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl ModelUpstream {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        let key = row.value::<Option<String>>("sealing_key")?;
        Ok(Self {
            id: row.id("id")?,
            values: ModelUpstreamValues {
                name: row.value("name")?,
                priority: row.value("priority")?,
                config: row.value("config")?,
            },
            key: key.map(|_| SealedSecret::only(KEY, row)).transpose()?,
            version: row.value("version")?,
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
        })
    }
}

async fn find<'e>(
    executor: impl Executor<'e, Database = Any>,
    organization: &OrganizationId,
    id: &ModelUpstreamId,
) -> Result<Option<ModelUpstream>, StoreError> {
    let row = sqlx::query(select!("AND u.id = $2"))
        .bind(organization.to_string())
        .bind(id.to_string())
        .fetch_optional(executor)
        .await?;
    row.as_ref().map(ModelUpstream::read).transpose()
}

impl Scope<'_> {
    /// All upstreams, in the order in which they are asked. There are few.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn model_upstreams(&self) -> Result<Vec<ModelUpstream>, StoreError> {
        let rows = sqlx::query(select!("ORDER BY u.priority, u.id"))
            .bind(self.organization.to_string())
            .fetch_all(self.pool)
            .await?;
        rows.iter().map(ModelUpstream::read).collect()
    }

    /// One upstream.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn model_upstream(
        &self,
        id: &ModelUpstreamId,
    ) -> Result<Option<ModelUpstream>, StoreError> {
        find(self.pool, self.organization, id).await
    }

    /// Keys of upstreams that are sealed with one key, in the order of the upstreams, after one of them.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn upstream_secrets_sealed_with(
        &self,
        key: &str,
        after: Option<&ModelUpstreamId>,
        limit: u32,
    ) -> Result<Vec<OwnedSecret>, StoreError> {
        let rows = sqlx::query(
            "SELECT upstream_id, sealing_key, sealed FROM model_upstream_secret \
             WHERE organization_id = $1 AND sealing_key = $2 AND upstream_id > $3 ORDER BY upstream_id LIMIT $4",
        )
        .bind(self.organization.to_string())
        .bind(key.to_owned())
        .bind(after.map(ToString::to_string).unwrap_or_default())
        .bind(i64::from(limit))
        .fetch_all(self.pool)
        .await?;
        let read = |row: &AnyRow| {
            Ok(OwnedSecret {
                owner: SecretOwner::ModelUpstream {
                    upstream: row.id("upstream_id")?,
                },
                secret: SealedSecret::only(KEY, row)?,
            })
        };
        rows.iter().map(read).collect()
    }
}

impl Change {
    /// All upstreams, as this change sees them.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn count_model_upstreams(&mut self) -> Result<i64, StoreError> {
        let organization = self.organization().to_string();
        let row = sqlx::query(
            "SELECT COUNT(*) AS upstreams FROM model_upstream WHERE organization_id = $1",
        )
        .bind(organization)
        .fetch_one(self.connection())
        .await?;
        row.value("upstreams")
    }

    /// One upstream, as this change sees it.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn model_upstream(
        &mut self,
        id: &ModelUpstreamId,
    ) -> Result<Option<ModelUpstream>, StoreError> {
        let organization = self.organization().clone();
        find(self.connection(), &organization, id).await
    }

    /// Makes an upstream, without a key.
    ///
    /// # Errors
    ///
    /// [`StoreError::Taken`] if there is one of this name.
    pub async fn insert_model_upstream(
        &mut self,
        id: ModelUpstreamId,
        values: ModelUpstreamValues,
    ) -> Result<ModelUpstream, StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        sqlx::query(
            "INSERT INTO model_upstream (id, organization_id, name, name_key, priority, config, version, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, 1, $7, $7)",
        )
        .bind(id.to_string())
        .bind(organization)
        .bind(values.name.clone())
        .bind(name_key(&values.name))
        .bind(values.priority)
        .bind(values.config.clone())
        .bind(at)
        .execute(self.connection())
        .await?;
        Ok(ModelUpstream {
            id,
            values,
            key: None,
            version: 1,
            created_at: self.at(),
            updated_at: self.at(),
        })
    }

    /// Changes an upstream that is as it was read; its key stays.
    ///
    /// # Errors
    ///
    /// [`StoreError::Stale`] if it was changed since, [`StoreError::Taken`] if there is another one of this name.
    pub async fn update_model_upstream(
        &mut self,
        read: &ModelUpstream,
        values: ModelUpstreamValues,
    ) -> Result<ModelUpstream, StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        let done = sqlx::query(
            "UPDATE model_upstream SET name = $4, name_key = $5, priority = $6, config = $7, version = version + 1, updated_at = $8 \
             WHERE organization_id = $1 AND id = $2 AND version = $3",
        )
        .bind(organization)
        .bind(read.id.to_string())
        .bind(read.version)
        .bind(values.name.clone())
        .bind(name_key(&values.name))
        .bind(values.priority)
        .bind(values.config.clone())
        .bind(at)
        .execute(self.connection())
        .await?;
        if done.rows_affected() != 1 {
            return Err(StoreError::Stale);
        }
        Ok(ModelUpstream {
            values,
            version: read.version + 1,
            updated_at: self.at(),
            ..read.clone()
        })
    }

    /// Sets the key of an upstream that this change has made or changed, or takes it away.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn put_model_upstream_key(
        &mut self,
        upstream: ModelUpstream,
        key: Option<SealedSecret>,
    ) -> Result<ModelUpstream, StoreError> {
        let organization = self.organization().to_string();
        let query = match &key {
            Some(key) => sqlx::query(
                "INSERT INTO model_upstream_secret (organization_id, upstream_id, sealing_key, sealed) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (upstream_id) DO UPDATE SET sealing_key = excluded.sealing_key, sealed = excluded.sealed \
                 WHERE model_upstream_secret.organization_id = excluded.organization_id",
            )
            .bind(organization)
            .bind(upstream.id.to_string())
            .bind(key.key.clone())
            .bind(key.sealed.clone()),
            None => sqlx::query(
                "DELETE FROM model_upstream_secret WHERE organization_id = $1 AND upstream_id = $2",
            )
            .bind(organization)
            .bind(upstream.id.to_string()),
        };
        query.execute(self.connection()).await?;
        Ok(ModelUpstream { key, ..upstream })
    }

    /// Deletes an upstream with its key; whether there was one.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn delete_model_upstream(
        &mut self,
        id: &ModelUpstreamId,
    ) -> Result<bool, StoreError> {
        let organization = self.organization().to_string();
        let done = sqlx::query("DELETE FROM model_upstream WHERE organization_id = $1 AND id = $2")
            .bind(organization)
            .bind(id.to_string())
            .execute(self.connection())
            .await?;
        Ok(done.rows_affected() == 1)
    }
}
