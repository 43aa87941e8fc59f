//! Doors of environments to MCP servers.

use bailiwick_model::{EnvironmentId, McpCatalogEntryId, McpGatewayId, OrganizationId};
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
            "SELECT id, environment_id, name, config, version, created_at, updated_at FROM mcp_gateway WHERE organization_id = $1 ",
            $rest
        )
    };
}

const ASSIGNMENTS: &str = "SELECT gateway_id, entry_id, tools FROM mcp_assignment WHERE organization_id = $1 AND gateway_id = $2 ORDER BY entry_id";

/// What of a gateway can be changed, besides its assignments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct McpGatewayValues {
    /// Where it belongs.
    pub environment: EnvironmentId,
    /// What people call it, and what its address may name it by.
    pub name: String,
    /// What else there is to say, as JSON.
    pub config: String,
}

/// A door of an environment to MCP servers in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct McpGateway {
    /// Its id.
    pub id: McpGatewayId,
    /// What can be changed.
    pub values: McpGatewayValues,
    /// Counts its changes, those of its assignments among them.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A server that a gateway has because it names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct McpAssignment {
    /// Which.
    pub entry: McpCatalogEntryId,
    /// Which of its tools, as JSON; all of them if there is nothing.
    pub tools: String,
}

impl McpGateway {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id("id")?,
            values: McpGatewayValues {
                environment: row.id("environment_id")?,
                name: row.value("name")?,
                config: row.value("config")?,
            },
            version: row.value("version")?,
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
        })
    }
}

impl McpAssignment {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            entry: row.id("entry_id")?,
            tools: row.value("tools")?,
        })
    }
}

async fn find<'e>(
    executor: impl Executor<'e, Database = Any>,
    organization: &OrganizationId,
    id: &McpGatewayId,
) -> Result<Option<McpGateway>, StoreError> {
    let row = sqlx::query(select!("AND id = $2"))
        .bind(organization.to_string())
        .bind(id.to_string())
        .fetch_optional(executor)
        .await?;
    row.as_ref().map(McpGateway::read).transpose()
}

async fn assigned<'e>(
    executor: impl Executor<'e, Database = Any>,
    organization: &OrganizationId,
    id: &McpGatewayId,
) -> Result<Vec<McpAssignment>, StoreError> {
    let rows = sqlx::query(ASSIGNMENTS)
        .bind(organization.to_string())
        .bind(id.to_string())
        .fetch_all(executor)
        .await?;
    rows.iter().map(McpAssignment::read).collect()
}

impl Scope<'_> {
    /// Gateways, the newest first; of one environment, if one is named.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn mcp_gateways(
        &self,
        environment: Option<&EnvironmentId>,
        page: &PageRequest<McpGatewayId>,
    ) -> Result<Page<McpGateway, McpGatewayId>, StoreError> {
        let rows = sqlx::query(select!(
            "AND ($2 = '' OR environment_id = $2) AND id < $3 ORDER BY id DESC LIMIT $4"
        ))
        .bind(self.organization.to_string())
        .bind(environment.map(ToString::to_string).unwrap_or_default())
        .bind(page.bound())
        .bind(page.rows())
        .fetch_all(self.pool)
        .await?;
        let items = rows.iter().map(McpGateway::read);
        let items = items.collect::<Result<_, StoreError>>()?;
        Ok(Page::of(items, page, |gateway: &McpGateway| {
            gateway.id.clone()
        }))
    }

    /// One gateway.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn mcp_gateway(&self, id: &McpGatewayId) -> Result<Option<McpGateway>, StoreError> {
        find(self.pool, self.organization, id).await
    }

    /// The gateway of this name, without regard to case.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn mcp_gateway_named(&self, name: &str) -> Result<Option<McpGateway>, StoreError> {
        let row = sqlx::query(select!("AND name_key = $2"))
            .bind(self.organization.to_string())
            .bind(name_key(name))
            .fetch_optional(self.pool)
            .await?;
        row.as_ref().map(McpGateway::read).transpose()
    }

    /// Which servers a gateway names, to be shown. Which of them are served says [`EnvironmentScope`](crate::EnvironmentScope).
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn mcp_assignments(
        &self,
        id: &McpGatewayId,
    ) -> Result<Vec<McpAssignment>, StoreError> {
        assigned(self.pool, self.organization, id).await
    }
}

impl Change {
    /// How many gateways there are, as this change sees it.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn count_mcp_gateways(&mut self) -> Result<i64, StoreError> {
        let organization = self.organization().to_string();
        let row =
            sqlx::query("SELECT COUNT(*) AS gateways FROM mcp_gateway WHERE organization_id = $1")
                .bind(organization)
                .fetch_one(self.connection())
                .await?;
        row.value("gateways")
    }

    /// One gateway, as this change sees it.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn mcp_gateway(
        &mut self,
        id: &McpGatewayId,
    ) -> Result<Option<McpGateway>, StoreError> {
        let organization = self.organization().clone();
        find(self.connection(), &organization, id).await
    }

    /// Which servers a gateway names, as this change sees it.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn mcp_assignments(
        &mut self,
        id: &McpGatewayId,
    ) -> Result<Vec<McpAssignment>, StoreError> {
        let organization = self.organization().clone();
        assigned(self.connection(), &organization, id).await
    }

    /// Makes a gateway, without assignments.
    ///
    /// # Errors
    ///
    /// [`StoreError::Taken`] if there is one of this name, [`StoreError::Referred`] if there is no such environment.
    pub async fn insert_mcp_gateway(
        &mut self,
        id: McpGatewayId,
        values: McpGatewayValues,
    ) -> Result<McpGateway, StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        sqlx::query(
            "INSERT INTO mcp_gateway (id, organization_id, environment_id, name, name_key, config, version, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, 1, $7, $7)",
        )
        .bind(id.to_string())
        .bind(organization)
        .bind(values.environment.to_string())
        .bind(values.name.clone())
        .bind(name_key(&values.name))
        .bind(values.config.clone())
        .bind(at)
        .execute(self.connection())
        .await?;
        Ok(McpGateway {
            id,
            values,
            version: 1,
            created_at: self.at(),
            updated_at: self.at(),
        })
    }

    /// Changes a gateway that is as it was read.
    ///
    /// # Errors
    ///
    /// [`StoreError::Stale`] if it was changed since, [`StoreError::Taken`] if there is another one of this name, [`StoreError::Referred`] if it
    /// is moved while it names servers.
    pub async fn update_mcp_gateway(
        &mut self,
        read: &McpGateway,
        values: McpGatewayValues,
    ) -> Result<McpGateway, StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        let done = sqlx::query(
            "UPDATE mcp_gateway SET environment_id = $4, name = $5, name_key = $6, config = $7, version = version + 1, updated_at = $8 \
             WHERE organization_id = $1 AND id = $2 AND version = $3",
        )
        .bind(organization)
        .bind(read.id.to_string())
        .bind(read.version)
        .bind(values.environment.to_string())
        .bind(values.name.clone())
        .bind(name_key(&values.name))
        .bind(values.config.clone())
        .bind(at)
        .execute(self.connection())
        .await?;
        if done.rows_affected() != 1 {
            return Err(StoreError::Stale);
        }
        Ok(McpGateway {
            values,
            version: read.version + 1,
            updated_at: self.at(),
            ..read.clone()
        })
    }

    /// Takes all servers out of a gateway that it names.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn clear_mcp_assignments(&mut self, id: &McpGatewayId) -> Result<(), StoreError> {
        let organization = self.organization().to_string();
        sqlx::query("DELETE FROM mcp_assignment WHERE organization_id = $1 AND gateway_id = $2")
            .bind(organization)
            .bind(id.to_string())
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// Names a server in a gateway that is in this environment.
    ///
    /// # Errors
    ///
    /// [`StoreError::Taken`] if it is named already, [`StoreError::Referred`] if the gateway or the server is not in this environment.
    pub async fn insert_mcp_assignment(
        &mut self,
        gateway: &McpGatewayId,
        environment: &EnvironmentId,
        assignment: &McpAssignment,
    ) -> Result<(), StoreError> {
        let organization = self.organization().to_string();
        sqlx::query(
            "INSERT INTO mcp_assignment (organization_id, gateway_id, entry_id, environment_id, tools) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(organization)
        .bind(gateway.to_string())
        .bind(assignment.entry.to_string())
        .bind(environment.to_string())
        .bind(assignment.tools.clone())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Deletes a gateway, with its virtual keys and assignments; whether there was one.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn delete_mcp_gateway(&mut self, id: &McpGatewayId) -> Result<bool, StoreError> {
        let organization = self.organization().to_string();
        let done = sqlx::query("DELETE FROM mcp_gateway WHERE organization_id = $1 AND id = $2")
            .bind(organization)
            .bind(id.to_string())
            .execute(self.connection())
            .await?;
        Ok(done.rows_affected() == 1)
    }
}
