//! Vaults.
//!
//! Whatever changes a vault or its credentials takes the lock of the vault's row first ([`Change::lock_vault`]), so that two such changes
//! follow each other.

use bailiwick_model::VaultId;
use jiff::Timestamp;
use sqlx::any::AnyRow;

use crate::change::Change;
use crate::error::StoreError;
use crate::page::{Page, PageRequest};
use crate::row::Columns;
use crate::store::Scope;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, display_name, metadata, created_at, updated_at, archived_at FROM vault WHERE organization_id = $1 ",
            $rest
        )
    };
}

/// What of a vault can be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultValues {
    /// What people call it.
    pub display_name: String,
    /// Free pairs, as a JSON object.
    pub metadata: String,
}

/// A vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vault {
    /// Its id.
    pub id: VaultId,
    /// What can be changed.
    pub values: VaultValues,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When it was archived.
    pub archived_at: Option<Timestamp>,
}

impl Vault {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id("id")?,
            values: VaultValues {
                display_name: row.value("display_name")?,
                metadata: row.value("metadata")?,
            },
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
            archived_at: row.optional_time("archived_at")?,
        })
    }
}

impl Scope<'_> {
    /// One vault, archived or not.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn vault(&self, id: &VaultId) -> Result<Option<Vault>, StoreError> {
        let row = sqlx::query(select!("AND id = $2"))
            .bind(self.organization.to_string())
            .bind(id.to_string())
            .fetch_optional(self.pool)
            .await?;
        row.as_ref().map(Vault::read).transpose()
    }

    /// Vaults, the newest first.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn vaults(
        &self,
        page: &PageRequest<VaultId>,
        with_archived: bool,
    ) -> Result<Page<Vault, VaultId>, StoreError> {
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
        let items = rows.iter().map(Vault::read).collect::<Result<_, _>>()?;
        Ok(Page::of(items, page, |vault: &Vault| vault.id.clone()))
    }
}

impl Change {
    /// One vault, archived or not. Until this change ends nobody else changes it or its credentials.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn lock_vault(&mut self, id: &VaultId) -> Result<Option<Vault>, StoreError> {
        let organization = self.organization().to_string();
        let row = sqlx::query(
            "UPDATE vault SET updated_at = updated_at WHERE organization_id = $1 AND id = $2 \
             RETURNING id, display_name, metadata, created_at, updated_at, archived_at",
        )
        .bind(organization)
        .bind(id.to_string())
        .fetch_optional(self.connection())
        .await?;
        row.as_ref().map(Vault::read).transpose()
    }

    /// Makes a vault.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn insert_vault(
        &mut self,
        id: VaultId,
        values: VaultValues,
    ) -> Result<Vault, StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        sqlx::query(
            "INSERT INTO vault (id, organization_id, display_name, metadata, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $5)",
        )
        .bind(id.to_string())
        .bind(organization)
        .bind(values.display_name.clone())
        .bind(values.metadata.clone())
        .bind(at)
        .execute(self.connection())
        .await?;
        Ok(Vault {
            id,
            values,
            created_at: self.at(),
            updated_at: self.at(),
            archived_at: None,
        })
    }

    /// Changes a vault that this change has locked.
    ///
    /// # Errors
    ///
    /// [`StoreError::Stale`] if it is archived or gone.
    pub async fn update_vault(
        &mut self,
        locked: &Vault,
        values: VaultValues,
    ) -> Result<Vault, StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        let done = sqlx::query(
            "UPDATE vault SET display_name = $3, metadata = $4, updated_at = $5 WHERE organization_id = $1 AND id = $2 AND archived_at IS NULL",
        )
        .bind(organization)
        .bind(locked.id.to_string())
        .bind(values.display_name.clone())
        .bind(values.metadata.clone())
        .bind(at)
        .execute(self.connection())
        .await?;
        if done.rows_affected() != 1 {
            return Err(StoreError::Stale);
        }
        Ok(Vault {
            values,
            updated_at: self.at(),
            ..locked.clone()
        })
    }

    /// Archives a vault that this change has locked, and nothing of what is in it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Stale`] if it is archived already, or gone.
    pub async fn archive_vault(&mut self, locked: &Vault) -> Result<Vault, StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        let done = sqlx::query(
            "UPDATE vault SET archived_at = $3, updated_at = $3 WHERE organization_id = $1 AND id = $2 AND archived_at IS NULL",
        )
        .bind(organization)
        .bind(locked.id.to_string())
        .bind(at)
        .execute(self.connection())
        .await?;
        if done.rows_affected() != 1 {
            return Err(StoreError::Stale);
        }
        Ok(Vault {
            updated_at: self.at(),
            archived_at: Some(self.at()),
            ..locked.clone()
        })
    }

    /// Deletes a vault with its credentials and their secrets; whether there was one.
    ///
    /// # Errors
    ///
    /// [`StoreError::Referred`] if something refers to it.
    pub async fn delete_vault(&mut self, id: &VaultId) -> Result<bool, StoreError> {
        let organization = self.organization().to_string();
        let done = sqlx::query("DELETE FROM vault WHERE organization_id = $1 AND id = $2")
            .bind(organization)
            .bind(id.to_string())
            .execute(self.connection())
            .await?;
        Ok(done.rows_affected() == 1)
    }
}
