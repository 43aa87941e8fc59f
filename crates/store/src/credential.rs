//! Credentials of vaults, without their secrets.

use bailiwick_model::{CredentialId, VaultId};
use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{Any, Executor};

use crate::change::Change;
use crate::error::StoreError;
use crate::page::{Page, PageRequest};
use crate::row::Columns;
use crate::store::Scope;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, vault_id, display_name, auth, target, metadata, created_at, updated_at, archived_at FROM credential \
             WHERE organization_id = $1 AND vault_id = $2 ",
            $rest
        )
    };
}

/// What of a credential can be changed, and what it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCredentialValues {
    /// What people call it.
    pub display_name: Option<String>,
    /// As the wire writes it, without secrets.
    pub auth: String,
    /// SHA-256 of what it is for; unique among those of its vault that are not archived.
    pub target: [u8; 32],
    /// Free pairs, as a JSON object.
    pub metadata: String,
}

/// A credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Its id.
    pub id: CredentialId,
    /// Whose it is.
    pub vault: VaultId,
    /// What can be changed.
    pub values: StoredCredentialValues,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When it was archived.
    pub archived_at: Option<Timestamp>,
}

impl Credential {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id("id")?,
            vault: row.id("vault_id")?,
            values: StoredCredentialValues {
                display_name: row.value("display_name")?,
                auth: row.value("auth")?,
                target: row.hash("target")?,
                metadata: row.value("metadata")?,
            },
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
            archived_at: row.optional_time("archived_at")?,
        })
    }
}

async fn find<'e>(
    executor: impl Executor<'e, Database = Any>,
    organization: String,
    vault: &VaultId,
    id: &CredentialId,
) -> Result<Option<Credential>, StoreError> {
    let row = sqlx::query(select!("AND id = $3"))
        .bind(organization)
        .bind(vault.to_string())
        .bind(id.to_string())
        .fetch_optional(executor)
        .await?;
    row.as_ref().map(Credential::read).transpose()
}

impl Scope<'_> {
    /// One credential of a vault, archived or not.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn credential(
        &self,
        vault: &VaultId,
        id: &CredentialId,
    ) -> Result<Option<Credential>, StoreError> {
        find(self.pool, self.organization.to_string(), vault, id).await
    }

    /// Credentials of a vault, the newest first.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn credentials(
        &self,
        vault: &VaultId,
        page: &PageRequest<CredentialId>,
        with_archived: bool,
    ) -> Result<Page<Credential, CredentialId>, StoreError> {
        let query = if with_archived {
            sqlx::query(select!("AND id < $3 ORDER BY id DESC LIMIT $4"))
        } else {
            sqlx::query(select!(
                "AND id < $3 AND archived_at IS NULL ORDER BY id DESC LIMIT $4"
            ))
        };
        let rows = query
            .bind(self.organization.to_string())
            .bind(vault.to_string())
            .bind(page.bound())
            .bind(page.rows())
            .fetch_all(self.pool)
            .await?;
        let items = rows
            .iter()
            .map(Credential::read)
            .collect::<Result<_, _>>()?;
        Ok(Page::of(items, page, |credential: &Credential| {
            credential.id.clone()
        }))
    }
}

impl Change {
    /// One credential of a vault that this change has locked.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn credential(
        &mut self,
        vault: &VaultId,
        id: &CredentialId,
    ) -> Result<Option<Credential>, StoreError> {
        let organization = self.organization().to_string();
        find(self.connection(), organization, vault, id).await
    }

    /// Credentials that are not archived of a vault that this change has locked, the oldest first.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn active_credentials(
        &mut self,
        vault: &VaultId,
    ) -> Result<Vec<CredentialId>, StoreError> {
        let organization = self.organization().to_string();
        let rows = sqlx::query(
            "SELECT id FROM credential WHERE organization_id = $1 AND vault_id = $2 AND archived_at IS NULL ORDER BY id",
        )
        .bind(organization)
        .bind(vault.to_string())
        .fetch_all(self.connection())
        .await?;
        rows.iter().map(|row| row.id("id")).collect()
    }

    /// Makes a credential in a vault that this change has locked.
    ///
    /// # Errors
    ///
    /// [`StoreError::Taken`] if an active one of the vault has this target.
    pub async fn insert_credential(
        &mut self,
        vault: &VaultId,
        id: CredentialId,
        values: StoredCredentialValues,
    ) -> Result<Credential, StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        let made = Credential {
            id,
            vault: vault.clone(),
            values: values.clone(),
            created_at: self.at(),
            updated_at: self.at(),
            archived_at: None,
        };
        sqlx::query(
            "INSERT INTO credential (id, organization_id, vault_id, display_name, auth, target, metadata, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)",
        )
        .bind(made.id.to_string())
        .bind(organization)
        .bind(vault.to_string())
        .bind(values.display_name)
        .bind(values.auth)
        .bind(values.target.to_vec())
        .bind(values.metadata)
        .bind(at)
        .execute(self.connection())
        .await?;
        Ok(made)
    }

    /// Changes a credential of a vault that this change has locked; its target stays.
    ///
    /// # Errors
    ///
    /// [`StoreError::Stale`] if it is archived or gone.
    pub async fn update_credential(
        &mut self,
        read: &Credential,
        values: StoredCredentialValues,
    ) -> Result<Credential, StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        let changed = Credential {
            values: StoredCredentialValues {
                target: read.values.target,
                ..values.clone()
            },
            updated_at: self.at(),
            ..read.clone()
        };
        let done = sqlx::query(
            "UPDATE credential SET display_name = $3, auth = $4, metadata = $5, updated_at = $6 \
             WHERE organization_id = $1 AND id = $2 AND archived_at IS NULL",
        )
        .bind(organization)
        .bind(read.id.to_string())
        .bind(values.display_name)
        .bind(values.auth)
        .bind(values.metadata)
        .bind(at)
        .execute(self.connection())
        .await?;
        if done.rows_affected() == 1 {
            Ok(changed)
        } else {
            Err(StoreError::Stale)
        }
    }

    /// Archives a credential of a vault that this change has locked, and deletes its secrets: its target is free.
    ///
    /// # Errors
    ///
    /// [`StoreError::Stale`] if it is archived already, or gone.
    pub async fn archive_credential(&mut self, id: &CredentialId) -> Result<(), StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        let done = sqlx::query(
            "UPDATE credential SET archived_at = $3, updated_at = $3 WHERE organization_id = $1 AND id = $2 AND archived_at IS NULL",
        )
        .bind(organization.clone())
        .bind(id.to_string())
        .bind(at)
        .execute(self.connection())
        .await?;
        if done.rows_affected() != 1 {
            return Err(StoreError::Stale);
        }
        sqlx::query(
            "DELETE FROM credential_secret WHERE organization_id = $1 AND credential_id = $2",
        )
        .bind(organization)
        .bind(id.to_string())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Deletes a credential with its secrets; whether there was one.
    ///
    /// # Errors
    ///
    /// [`StoreError::Referred`] if something refers to it.
    pub async fn delete_credential(
        &mut self,
        vault: &VaultId,
        id: &CredentialId,
    ) -> Result<bool, StoreError> {
        let organization = self.organization().to_string();
        let done = sqlx::query(
            "DELETE FROM credential WHERE organization_id = $1 AND vault_id = $2 AND id = $3",
        )
        .bind(organization)
        .bind(vault.to_string())
        .bind(id.to_string())
        .execute(self.connection())
        .await?;
        Ok(done.rows_affected() == 1)
    }
}
