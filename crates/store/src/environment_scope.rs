//! What is served in one environment. Whatever is listed for, found for or executed by somebody in it is asked for here.

use bailiwick_model::{EnvironmentId, McpCatalogEntryId, McpGatewayId};

use crate::error::StoreError;
use crate::mcp_catalog::McpCatalogEntry;
use crate::organization::name_key;
use crate::row::Columns;
use crate::store::Scope;

/// Names that one query asks for.
const NAMES: usize = 10;

/// The things of one organization that are in one environment, to serve them. There is none without an environment, and each query has it in its
/// condition, so none can forget it.
#[derive(Debug, Clone, Copy)]
pub struct EnvironmentScope<'a> {
    pub(crate) scope: Scope<'a>,
    pub(crate) environment: &'a EnvironmentId,
}

impl<'a> Scope<'a> {
    /// What of the organization's is in this environment.
    pub fn in_environment(self, environment: &'a EnvironmentId) -> EnvironmentScope<'a> {
        EnvironmentScope {
            scope: self,
            environment,
        }
    }
}

impl EnvironmentScope<'_> {
    /// Which environment it is.
    pub fn environment(&self) -> &EnvironmentId {
        self.environment
    }

    /// The MCP servers of the environment, the oldest first, at most `limit`.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn mcp_servers(&self, limit: usize) -> Result<Vec<McpCatalogEntry>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, environment_id, name, config, vault_id, version, created_at, updated_at FROM mcp_catalog_entry \
             WHERE organization_id = $1 AND environment_id = $2 ORDER BY id LIMIT $3",
        )
        .bind(self.scope.organization.to_string())
        .bind(self.environment.to_string())
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(self.scope.pool)
        .await?;
        rows.iter().map(McpCatalogEntry::read).collect()
    }

    /// Those that a gateway names, with the names of their tools as JSON, the oldest first, at most `limit`. A gateway of another environment
    /// has none here.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn assigned_mcp_servers(
        &self,
        gateway: &McpGatewayId,
        limit: usize,
    ) -> Result<Vec<(McpCatalogEntry, String)>, StoreError> {
        let rows = sqlx::query(
            "SELECT e.id, e.environment_id, e.name, e.config, e.vault_id, e.version, e.created_at, e.updated_at, a.tools \
             FROM mcp_assignment a JOIN mcp_gateway g ON g.id = a.gateway_id AND g.environment_id = $2 \
             JOIN mcp_catalog_entry e ON e.id = a.entry_id AND e.environment_id = $2 \
             WHERE a.organization_id = $1 AND a.gateway_id = $3 ORDER BY e.id LIMIT $4",
        )
        .bind(self.scope.organization.to_string())
        .bind(self.environment.to_string())
        .bind(gateway.to_string())
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(self.scope.pool)
        .await?;
        let pair = |row| Ok((McpCatalogEntry::read(row)?, row.value("tools")?));
        rows.iter().map(pair).collect()
    }

    /// Those of these names that are names of MCP servers in other environments of the organization, and of none in this one. No server is shown.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn foreign_mcp_servers(&self, names: &[&str]) -> Result<Vec<String>, StoreError> {
        let mut foreign = Vec::new();
        for some in names.chunks(NAMES) {
            let mut query = sqlx::query(
                "SELECT DISTINCT e.name_key FROM mcp_catalog_entry e WHERE e.organization_id = $1 AND e.environment_id <> $2 \
                 AND e.name_key IN ($3, $4, $5, $6, $7, $8, $9, $10, $11, $12) AND NOT EXISTS \
                 (SELECT 1 FROM mcp_catalog_entry o WHERE o.organization_id = $1 AND o.environment_id = $2 AND o.name_key = e.name_key)",
            )
            .bind(self.scope.organization.to_string())
            .bind(self.environment.to_string());
            for index in 0..NAMES {
                query = query.bind(
                    some.get(index)
                        .map(|name| name_key(name))
                        .unwrap_or_default(),
                );
            }
            let rows = query.fetch_all(self.scope.pool).await?;
            let found: Vec<String> = rows
                .iter()
                .map(|row| row.value("name_key"))
                .collect::<Result<_, _>>()?;
            let is_found = |name: &&&str| found.contains(&name_key(name));
            foreign.extend(some.iter().filter(is_found).map(|name| (*name).to_owned()));
        }
        Ok(foreign)
    }

    /// One MCP server, if it is in the environment.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn mcp_server(
        &self,
        id: &McpCatalogEntryId,
    ) -> Result<Option<McpCatalogEntry>, StoreError> {
        let found = self.scope.mcp_catalog_entry(id).await?;
        Ok(found.filter(|entry| entry.values.environment == *self.environment))
    }
}
