//! Environments and their revisions.

use bailiwick_model::{EnvironmentId, OrganizationId, ResourceId as _};
use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{Any, Executor};

use crate::change::Change;
use crate::error::StoreError;
use crate::organization::name_key;
use crate::page::{Page, PageRequest};
use crate::row::Columns;
use crate::store::{Scope, Store};

macro_rules! select {
    ($rest:literal) => {
        select!("" => $rest)
    };
    ($more:literal => $rest:literal) => {
        concat!(
            "SELECT id, name, description, is_default, restricted, namespace, config, metadata, version, created_at, updated_at, archived_at",
            $more,
            " FROM environment WHERE organization_id = $1 ",
            $rest
        )
    };
}

/// What of an environment can be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentValues {
    /// What people call it; unique among those that are not archived, without regard to case.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Whether it takes a right of its own to assign resources to it.
    pub restricted: bool,
    /// Its Kubernetes namespace.
    pub namespace: Option<String>,
    /// As the wire writes it, with the extensions.
    pub config: String,
    /// Free pairs, as a JSON object.
    pub metadata: String,
}

/// An environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// Its id.
    pub id: EnvironmentId,
    /// Whether it is the organization's Default environment.
    pub is_default: bool,
    /// What can be changed.
    pub values: EnvironmentValues,
    /// Counts its changes, from 1, and so numbers its revisions.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When it was archived.
    pub archived_at: Option<Timestamp>,
}

/// One to be made.
#[derive(Debug, Clone)]
pub struct NewEnvironment {
    /// Its id.
    pub id: EnvironmentId,
    /// Whether it is the organization's Default environment.
    pub is_default: bool,
    /// The rest.
    pub values: EnvironmentValues,
}

impl Environment {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id("id")?,
            is_default: row.flag("is_default")?,
            values: EnvironmentValues {
                name: row.value("name")?,
                description: row.value("description")?,
                restricted: row.flag("restricted")?,
                namespace: row.value("namespace")?,
                config: row.value("config")?,
                metadata: row.value("metadata")?,
            },
            version: row.value("version")?,
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
            archived_at: row.optional_time("archived_at")?,
        })
    }
}

async fn find<'e>(
    executor: impl Executor<'e, Database = Any>,
    organization: String,
    id: &EnvironmentId,
) -> Result<Option<Environment>, StoreError> {
    let query = sqlx::query(select!("AND id = $2"));
    let row = query
        .bind(organization)
        .bind(id.to_string())
        .fetch_optional(executor)
        .await?;
    row.as_ref().map(Environment::read).transpose()
}

async fn base_digest<'e>(
    executor: impl Executor<'e, Database = Any>,
    organization: &str,
    id: &EnvironmentId,
    revision: i64,
) -> Result<Option<String>, StoreError> {
    let row = sqlx::query(
        "SELECT r.base_digest FROM environment_revision r JOIN environment e ON e.id = r.environment_id \
         WHERE e.organization_id = $1 AND e.id = $2 AND r.number = $3",
    )
    .bind(organization.to_owned())
    .bind(id.to_string())
    .bind(revision)
    .fetch_optional(executor)
    .await?;
    match row {
        Some(row) => row.value("base_digest"),
        None => Ok(None),
    }
}

impl Store {
    /// Pins what the name of an environment's base stands for at a revision, unless it is pinned already; returns what is pinned, or `None`
    /// if there is no such revision. Of several that pin at once one wins, and all are told the same.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn pin_environment_base(
        &self,
        organization: &OrganizationId,
        id: &EnvironmentId,
        revision: i64,
        digest: &str,
    ) -> Result<Option<String>, StoreError> {
        let mut transaction = self.begin().await?;
        sqlx::query(
            "UPDATE environment_revision SET base_digest = $4 WHERE environment_id = $2 AND number = $3 AND base_digest IS NULL \
             AND EXISTS (SELECT 1 FROM environment e WHERE e.id = $2 AND e.organization_id = $1)",
        )
        .bind(organization.to_string())
        .bind(id.to_string())
        .bind(revision)
        .bind(digest.to_owned())
        .execute(transaction.connection())
        .await?;
        let connection = transaction.connection();
        let pinned = base_digest(connection, organization.as_str(), id, revision).await?;
        transaction.commit().await?;
        Ok(pinned)
    }
}

impl Scope<'_> {
    /// One environment, archived or not.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn environment(&self, id: &EnvironmentId) -> Result<Option<Environment>, StoreError> {
        find(self.pool, self.organization.to_string(), id).await
    }

    /// The configuration of an environment at a revision.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn environment_config(
        &self,
        id: &EnvironmentId,
        revision: i64,
    ) -> Result<Option<String>, StoreError> {
        let row = sqlx::query(
            "SELECT r.config FROM environment_revision r JOIN environment e ON e.id = r.environment_id \
             WHERE e.organization_id = $1 AND e.id = $2 AND r.number = $3",
        )
        .bind(self.organization.to_string())
        .bind(id.to_string())
        .bind(revision)
        .fetch_optional(self.pool)
        .await?;
        row.as_ref().map(|row| row.value("config")).transpose()
    }

    /// The digest that the name of an environment's base stands for at a revision, once that was looked up.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn environment_base(
        &self,
        id: &EnvironmentId,
        revision: i64,
    ) -> Result<Option<String>, StoreError> {
        base_digest(self.pool, &self.organization.to_string(), id, revision).await
    }

    /// One environment, archived or not, and the policy of those that have none of their own ([`Organization::default_networking`]).
    ///
    /// [`Organization::default_networking`]: crate::Organization::default_networking
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn environment_with_default(
        &self,
        id: &EnvironmentId,
    ) -> Result<Option<(Environment, Option<String>)>, StoreError> {
        let query = sqlx::query(select!(
            ", (SELECT default_networking FROM organization WHERE id = $1) AS default_networking" =>
            "AND id = $2"
        ));
        let row = query
            .bind(self.organization.to_string())
            .bind(id.to_string())
            .fetch_optional(self.pool)
            .await?;
        let read = |row: &AnyRow| Ok((Environment::read(row)?, row.value("default_networking")?));
        row.as_ref().map(read).transpose()
    }

    /// The Default environment.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn default_environment(&self) -> Result<Option<Environment>, StoreError> {
        let row = sqlx::query(select!("AND is_default = 1"))
            .bind(self.organization.to_string())
            .fetch_optional(self.pool)
            .await?;
        row.as_ref().map(Environment::read).transpose()
    }

    /// Environments, the newest first.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn environments(
        &self,
        page: &PageRequest<EnvironmentId>,
        with_archived: bool,
    ) -> Result<Page<Environment, EnvironmentId>, StoreError> {
        let query = if with_archived {
            sqlx::query(select!("AND id < $2 ORDER BY id DESC LIMIT $3"))
        } else {
            sqlx::query(select!(
                "AND id < $2 AND archived_at IS NULL ORDER BY id DESC LIMIT $3"
            ))
        };
        let rows = query
            .bind(self.organization.to_string())
            .bind(page.bound())
            .bind(page.rows())
            .fetch_all(self.pool)
            .await?;
        let items = rows
            .iter()
            .map(Environment::read)
            .collect::<Result<_, _>>()?;
        Ok(Page::of(items, page, |environment: &Environment| {
            environment.id.clone()
        }))
    }
}

impl Change {
    /// One environment, as this change sees it.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn environment(
        &mut self,
        id: &EnvironmentId,
    ) -> Result<Option<Environment>, StoreError> {
        let organization = self.organization().to_string();
        find(self.connection(), organization, id).await
    }

    /// Makes an environment and its first revision.
    ///
    /// # Errors
    ///
    /// [`StoreError::Taken`] if there is one of this name.
    pub async fn insert_environment(
        &mut self,
        new: NewEnvironment,
    ) -> Result<Environment, StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        let made = Environment {
            id: new.id,
            is_default: new.is_default,
            values: new.values,
            version: 1,
            created_at: self.at(),
            updated_at: self.at(),
            archived_at: None,
        };
        let values = made.values.clone();
        sqlx::query(
            "INSERT INTO environment (id, organization_id, name, name_key, description, is_default, restricted, namespace, config, metadata, \
             version, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 1, $11, $11)",
        )
        .bind(made.id.as_str().to_owned())
        .bind(organization)
        .bind(values.name.clone())
        .bind(name_key(&values.name))
        .bind(values.description)
        .bind(i64::from(made.is_default))
        .bind(i64::from(values.restricted))
        .bind(values.namespace)
        .bind(values.config)
        .bind(values.metadata)
        .bind(at)
        .execute(self.connection())
        .await?;
        self.revises(&made);
        Ok(made)
    }

    /// Changes an environment that is as it was read, and makes a revision of it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Stale`] if it was changed since, [`StoreError::Taken`] if there is another one of this name.
    pub async fn update_environment(
        &mut self,
        read: &Environment,
        values: EnvironmentValues,
    ) -> Result<Environment, StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        let changed = Environment {
            values: values.clone(),
            version: read.version + 1,
            updated_at: self.at(),
            ..read.clone()
        };
        let done = sqlx::query(
            "UPDATE environment SET name = $4, name_key = $5, description = $6, restricted = $7, namespace = $8, config = $9, metadata = $10, \
             version = version + 1, updated_at = $11 WHERE organization_id = $1 AND id = $2 AND version = $3 AND archived_at IS NULL",
        )
        .bind(organization)
        .bind(read.id.to_string())
        .bind(read.version)
        .bind(values.name.clone())
        .bind(name_key(&values.name))
        .bind(values.description)
        .bind(i64::from(values.restricted))
        .bind(values.namespace)
        .bind(values.config)
        .bind(values.metadata)
        .bind(at)
        .execute(self.connection())
        .await?;
        if done.rows_affected() != 1 {
            return Err(StoreError::Stale);
        }
        self.revises(&changed);
        Ok(changed)
    }

    /// Archives an environment that is as it was read: it is read-only from here on, and its name is free.
    ///
    /// # Errors
    ///
    /// [`StoreError::Stale`] if it was changed since.
    pub async fn archive_environment(
        &mut self,
        read: &Environment,
    ) -> Result<Environment, StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        let done = sqlx::query(
            "UPDATE environment SET archived_at = $4, updated_at = $4, version = version + 1 \
             WHERE organization_id = $1 AND id = $2 AND version = $3 AND archived_at IS NULL",
        )
        .bind(organization)
        .bind(read.id.to_string())
        .bind(read.version)
        .bind(at)
        .execute(self.connection())
        .await?;
        if done.rows_affected() != 1 {
            return Err(StoreError::Stale);
        }
        let archived = Environment {
            version: read.version + 1,
            updated_at: self.at(),
            archived_at: Some(self.at()),
            ..read.clone()
        };
        self.revises(&archived);
        Ok(archived)
    }

    /// Deletes an environment with its revisions and keys.
    ///
    /// # Errors
    ///
    /// [`StoreError::Stale`] if it was changed since it was read, [`StoreError::Referred`] if something refers to it.
    pub async fn delete_environment(&mut self, read: &Environment) -> Result<(), StoreError> {
        let organization = self.organization().to_string();
        let done = sqlx::query(
            "DELETE FROM environment WHERE organization_id = $1 AND id = $2 AND version = $3",
        )
        .bind(organization)
        .bind(read.id.to_string())
        .bind(read.version)
        .execute(self.connection())
        .await?;
        if done.rows_affected() != 1 {
            return Err(StoreError::Stale);
        }
        self.revises_no_more(&read.id);
        Ok(())
    }
}
