//! Credentials of MCP servers that people are about to get there.

use bailiwick_model::{McpConnectionId, OrganizationId, UserId, VaultId};
use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{Any, Executor};

use crate::change::Change;
use crate::error::StoreError;
use crate::row::Columns;
use crate::store::{Scope, Store};

const SELECT: &str = "SELECT id, user_id, vault_id, mcp_url, sealed_key, sealed, confirmation_hash, attempts, expires_at FROM mcp_connection \
     WHERE organization_id = $1 AND id = $2";

/// What is needed to finish a connection, sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedConnection {
    /// With which key.
    pub key: String,
    /// What it became.
    pub bytes: Vec<u8>,
}

/// A credential that somebody is about to get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct McpConnection {
    /// Its id.
    pub id: McpConnectionId,
    /// Who began.
    pub user: UserId,
    /// Where the credential will be.
    pub vault: VaultId,
    /// The server that it is for.
    pub mcp_url: String,
    /// What is needed to finish.
    pub sealed: SealedConnection,
    /// SHA-256 of what the page showed, once the person came back.
    pub confirmation_hash: Option<[u8; 32]>,
    /// How often something else was said to be it.
    pub attempts: i64,
    /// From when on nothing comes of it.
    pub expires_at: Timestamp,
}

/// One to be made.
#[derive(Debug, Clone)]
pub struct NewMcpConnection<'a> {
    /// Its id.
    pub id: McpConnectionId,
    /// Who begins.
    pub user: &'a UserId,
    /// Where the credential will be.
    pub vault: &'a VaultId,
    /// The server that it is for.
    pub mcp_url: &'a str,
    /// SHA-256 of what comes back.
    pub state_hash: [u8; 32],
    /// What is needed to finish.
    pub sealed: SealedConnection,
    /// From when on nothing comes of it.
    pub expires_at: Timestamp,
}

impl McpConnection {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        let confirmation: Option<Vec<u8>> = row.value("confirmation_hash")?;
        let corrupt = |_| StoreError::Corrupt {
            column: "confirmation_hash",
        };
        Ok(Self {
            id: row.id("id")?,
            user: row.id("user_id")?,
            vault: row.id("vault_id")?,
            mcp_url: row.value("mcp_url")?,
            sealed: SealedConnection {
                key: row.value("sealed_key")?,
                bytes: row.value("sealed")?,
            },
            confirmation_hash: confirmation
                .map(|hash| hash.try_into().map_err(corrupt))
                .transpose()?,
            attempts: row.value("attempts")?,
            expires_at: row.time("expires_at")?,
        })
    }
}

async fn find<'e>(
    executor: impl Executor<'e, Database = Any>,
    organization: &OrganizationId,
    id: &McpConnectionId,
) -> Result<Option<McpConnection>, StoreError> {
    let row = sqlx::query(SELECT)
        .bind(organization.to_string())
        .bind(id.to_string())
        .fetch_optional(executor)
        .await?;
    row.as_ref().map(McpConnection::read).transpose()
}

impl Store {
    /// The connection that a state is of, by its hash.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn mcp_connection_of(
        &self,
        state_hash: &[u8; 32],
    ) -> Result<Option<(OrganizationId, McpConnectionId)>, StoreError> {
        let row =
            sqlx::query("SELECT organization_id, id FROM mcp_connection WHERE state_hash = $1")
                .bind(state_hash.to_vec())
                .fetch_optional(self.reader())
                .await?;
        row.map(|row| Ok((row.id("organization_id")?, row.id("id")?)))
            .transpose()
    }
}

impl Scope<'_> {
    /// One connection.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn mcp_connection(
        &self,
        id: &McpConnectionId,
    ) -> Result<Option<McpConnection>, StoreError> {
        find(self.pool, self.organization, id).await
    }
}

impl Change {
    /// One connection, as this change sees it.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn mcp_connection(
        &mut self,
        id: &McpConnectionId,
    ) -> Result<Option<McpConnection>, StoreError> {
        let organization = self.organization().clone();
        find(self.connection(), &organization, id).await
    }

    /// Makes one, and forgets those of the organization that are over, and the oldest of the person's above so many.
    ///
    /// # Errors
    ///
    /// [`StoreError::Referred`] if there is no such vault.
    pub async fn insert_mcp_connection(
        &mut self,
        new: NewMcpConnection<'_>,
        most: u32,
    ) -> Result<(), StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        sqlx::query("DELETE FROM mcp_connection WHERE organization_id = $1 AND expires_at <= $2")
            .bind(organization.clone())
            .bind(at)
            .execute(self.connection())
            .await?;
        sqlx::query(
            "DELETE FROM mcp_connection WHERE organization_id = $1 AND user_id = $2 AND id NOT IN (SELECT id FROM mcp_connection \
             WHERE organization_id = $1 AND user_id = $2 ORDER BY id DESC LIMIT $3)",
        )
        .bind(organization.clone())
        .bind(new.user.to_string())
        .bind(i64::from(most) - 1)
        .execute(self.connection())
        .await?;
        sqlx::query(
            "INSERT INTO mcp_connection (id, organization_id, user_id, vault_id, mcp_url, state_hash, sealed_key, sealed, attempts, created_at, \
             expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, $9, $10)",
        )
        .bind(new.id.to_string())
        .bind(organization)
        .bind(new.user.to_string())
        .bind(new.vault.to_string())
        .bind(new.mcp_url.to_owned())
        .bind(new.state_hash.to_vec())
        .bind(new.sealed.key)
        .bind(new.sealed.bytes)
        .bind(at)
        .bind(new.expires_at.as_microsecond())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Keeps what a person came back with, sealed, and what they were shown for it.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn answer_mcp_connection(
        &mut self,
        id: &McpConnectionId,
        sealed: SealedConnection,
        confirmation_hash: [u8; 32],
    ) -> Result<(), StoreError> {
        let organization = self.organization().to_string();
        sqlx::query(
            "UPDATE mcp_connection SET sealed_key = $3, sealed = $4, confirmation_hash = $5 WHERE organization_id = $1 AND id = $2",
        )
        .bind(organization)
        .bind(id.to_string())
        .bind(sealed.key)
        .bind(sealed.bytes)
        .bind(confirmation_hash.to_vec())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Counts something else that was said to be what was shown.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn count_mcp_connection_attempt(
        &mut self,
        id: &McpConnectionId,
    ) -> Result<(), StoreError> {
        let organization = self.organization().to_string();
        sqlx::query(
            "UPDATE mcp_connection SET attempts = attempts + 1 WHERE organization_id = $1 AND id = $2",
        )
        .bind(organization)
        .bind(id.to_string())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Ends one; whether there was one.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn delete_mcp_connection(
        &mut self,
        id: &McpConnectionId,
    ) -> Result<bool, StoreError> {
        let organization = self.organization().to_string();
        let done = sqlx::query("DELETE FROM mcp_connection WHERE organization_id = $1 AND id = $2")
            .bind(organization)
            .bind(id.to_string())
            .execute(self.connection())
            .await?;
        Ok(done.rows_affected() > 0)
    }
}
