//! The private registry of MCP servers.

use bailiwick_model::{EnvironmentId, McpCatalogEntryId, McpGatewayId, OrganizationId, VaultId};
use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{Any, Executor};

use crate::change::Change;
use crate::error::StoreError;
use crate::organization::name_key;
use crate::page::{Page, PageRequest};
use crate::row::Columns;
use crate::store::Scope;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, environment_id, name, config, vault_id, version, created_at, updated_at FROM mcp_catalog_entry \
             WHERE organization_id = $1 ",
            $rest
        )
    };
}

/// What of an entry can be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct McpCatalogEntryValues {
    /// Where it belongs.
    pub environment: EnvironmentId,
    /// What gateways call it.
    pub name: String,
    /// Where it is, or how it is run, as JSON.
    pub config: String,
    /// Whose credential for its URL is used.
    pub vault: Option<VaultId>,
}

/// A server of the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct McpCatalogEntry {
    /// Its id.
    pub id: McpCatalogEntryId,
    /// What can be changed.
    pub values: McpCatalogEntryValues,
    /// Counts its changes.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl McpCatalogEntry {
    pub(crate) fn read(row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id("id")?,
            values: McpCatalogEntryValues {
                environment: row.id("environment_id")?,
                name: row.value("name")?,
                config: row.value("config")?,
                vault: row.optional_id("vault_id")?,
            },
            version: row.value("version")?,
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
        })
    }
}

async fn find<'e>(
    executor: impl Executor<'e, Database = Any>,
    organization: &OrganizationId,
    id: &McpCatalogEntryId,
) -> Result<Option<McpCatalogEntry>, StoreError> {
    let row = sqlx::query(select!("AND id = $2"))
        .bind(organization.to_string())
        .bind(id.to_string())
        .fetch_optional(executor)
        .await?;
    row.as_ref().map(McpCatalogEntry::read).transpose()
}

impl Scope<'_> {
    /// Entries, the newest first; of one environment, if one is named. It is for those who administer them: what is served is asked for with an
    /// [`EnvironmentScope`](crate::EnvironmentScope).
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn mcp_catalog(
        &self,
        environment: Option<&EnvironmentId>,
        page: &PageRequest<McpCatalogEntryId>,
    ) -> Result<Page<McpCatalogEntry, McpCatalogEntryId>, StoreError> {
        let rows = sqlx::query(select!(
            "AND ($2 = '' OR environment_id = $2) AND id < $3 ORDER BY id DESC LIMIT $4"
        ))
        .bind(self.organization.to_string())
        .bind(environment.map(ToString::to_string).unwrap_or_default())
        .bind(page.bound())
        .bind(page.rows())
        .fetch_all(self.pool)
        .await?;
        let items = rows.iter().map(McpCatalogEntry::read);
        let items = items.collect::<Result<_, StoreError>>()?;
        Ok(Page::of(items, page, |entry: &McpCatalogEntry| {
            entry.id.clone()
        }))
    }

    /// One entry.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn mcp_catalog_entry(
        &self,
        id: &McpCatalogEntryId,
    ) -> Result<Option<McpCatalogEntry>, StoreError> {
        find(self.pool, self.organization, id).await
    }
}

impl Change {
    /// How many entries there are, and how many of them in one environment, as this change sees it.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn count_mcp_catalog(
        &mut self,
        environment: &EnvironmentId,
    ) -> Result<(i64, i64), StoreError> {
        let organization = self.organization().to_string();
        let row = sqlx::query(
            "SELECT COUNT(*) AS entries, COUNT(CASE WHEN environment_id = $2 THEN 1 END) AS own FROM mcp_catalog_entry WHERE organization_id = $1",
        )
        .bind(organization)
        .bind(environment.to_string())
        .fetch_one(self.connection())
        .await?;
        Ok((row.value("entries")?, row.value("own")?))
    }

    /// One entry, as this change sees it.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn mcp_catalog_entry(
        &mut self,
        id: &McpCatalogEntryId,
    ) -> Result<Option<McpCatalogEntry>, StoreError> {
        let organization = self.organization().clone();
        find(self.connection(), &organization, id).await
    }

    /// Makes an entry.
    ///
    /// # Errors
    ///
    /// [`StoreError::Taken`] if its environment has one of this name, [`StoreError::Referred`] if there is no such environment or vault.
    pub async fn insert_mcp_catalog_entry(
        &mut self,
        id: McpCatalogEntryId,
        values: McpCatalogEntryValues,
    ) -> Result<McpCatalogEntry, StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        sqlx::query(
            "INSERT INTO mcp_catalog_entry (id, organization_id, environment_id, name, name_key, config, vault_id, version, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8, $8)",
        )
        .bind(id.to_string())
        .bind(organization)
        .bind(values.environment.to_string())
        .bind(values.name.clone())
        .bind(name_key(&values.name))
        .bind(values.config.clone())
        .bind(values.vault.as_ref().map(ToString::to_string))
        .bind(at)
        .execute(self.connection())
        .await?;
        Ok(McpCatalogEntry {
            id,
            values,
            version: 1,
            created_at: self.at(),
            updated_at: self.at(),
        })
    }

    /// Changes an entry that is as it was read.
    ///
    /// # Errors
    ///
    /// [`StoreError::Stale`] if it was changed since, [`StoreError::Taken`] if there is another one of this name, [`StoreError::Referred`] if it
    /// is moved while a gateway has it.
    pub async fn update_mcp_catalog_entry(
        &mut self,
        read: &McpCatalogEntry,
        values: McpCatalogEntryValues,
    ) -> Result<McpCatalogEntry, StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        let done = sqlx::query(
            "UPDATE mcp_catalog_entry SET environment_id = $4, name = $5, name_key = $6, config = $7, vault_id = $8, version = version + 1, \
             updated_at = $9 WHERE organization_id = $1 AND id = $2 AND version = $3",
        )
        .bind(organization)
        .bind(read.id.to_string())
        .bind(read.version)
        .bind(values.environment.to_string())
        .bind(values.name.clone())
        .bind(name_key(&values.name))
        .bind(values.config.clone())
        .bind(values.vault.as_ref().map(ToString::to_string))
        .bind(at)
        .execute(self.connection())
        .await?;
        if done.rows_affected() != 1 {
            return Err(StoreError::Stale);
        }
        Ok(McpCatalogEntry {
            values,
            version: read.version + 1,
            updated_at: self.at(),
            ..read.clone()
        })
    }

    /// Deletes an entry, and its assignments; whether there was one.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn delete_mcp_catalog_entry(
        &mut self,
        id: &McpCatalogEntryId,
    ) -> Result<bool, StoreError> {
        let organization = self.organization().to_string();
        let done =
            sqlx::query("DELETE FROM mcp_catalog_entry WHERE organization_id = $1 AND id = $2")
                .bind(organization)
                .bind(id.to_string())
                .execute(self.connection())
                .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Gateways that an entry is assigned to: at most 100.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn gateways_with_entry(
        &mut self,
        id: &McpCatalogEntryId,
    ) -> Result<Vec<McpGatewayId>, StoreError> {
        let organization = self.organization().to_string();
        let rows = sqlx::query(
            "SELECT gateway_id FROM mcp_assignment WHERE organization_id = $1 AND entry_id = $2 ORDER BY gateway_id LIMIT 100",
        )
        .bind(organization)
        .bind(id.to_string())
        .fetch_all(self.connection())
        .await?;
        rows.iter().map(|row| row.id("gateway_id")).collect()
    }

    /// Takes an entry out of all gateways that name it.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn detach_mcp_catalog_entry(
        &mut self,
        id: &McpCatalogEntryId,
    ) -> Result<(), StoreError> {
        let organization = self.organization().to_string();
        sqlx::query("DELETE FROM mcp_assignment WHERE organization_id = $1 AND entry_id = $2")
            .bind(organization)
            .bind(id.to_string())
            .execute(self.connection())
            .await?;
        Ok(())
    }
}
