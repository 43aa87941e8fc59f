//! Sessions of browsers: what is stored is the hash of a cookie's value.

use bailiwick_model::{OrganizationId, Permissions, UserId};
use jiff::Timestamp;

use crate::change::Change;
use crate::error::StoreError;
use crate::row::Columns;
use crate::store::Store;

/// Who a cookie stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownSession {
    /// Whose things it opens.
    pub organization: OrganizationId,
    /// Who signed in.
    pub user: UserId,
    /// What their role allows.
    pub permissions: Permissions,
    /// SHA-256 of what requests that change something must carry.
    pub csrf_hash: [u8; 32],
    /// From when on it is not taken.
    pub expires_at: Timestamp,
}

impl Store {
    /// Who a cookie stands for, by its hash; `None` if there is none, or its user cannot act any more.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn known_session(
        &self,
        hash: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<KnownSession>, StoreError> {
        let row = sqlx::query(
            "SELECT s.organization_id, s.user_id, s.csrf_hash, s.expires_at, r.permissions FROM browser_session s \
             JOIN member m ON m.organization_id = s.organization_id AND m.user_id = s.user_id \
             JOIN user_account u ON u.id = s.user_id AND u.disabled_at IS NULL \
             JOIN role r ON r.id = m.role_id WHERE s.hash = $1 AND s.expires_at > $2",
        )
        .bind(hash.to_vec())
        .bind(now.as_microsecond())
        .fetch_optional(self.reader())
        .await?;
        let read = |row: sqlx::any::AnyRow| {
            Ok(KnownSession {
                organization: row.id("organization_id")?,
                user: row.id("user_id")?,
                permissions: row.json("permissions")?,
                csrf_hash: row.hash("csrf_hash")?,
                expires_at: row.time("expires_at")?,
            })
        };
        row.map(read).transpose()
    }
}

impl Change {
    /// Begins a session, and forgets those that have ended.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn insert_browser_session(
        &mut self,
        user: &UserId,
        hash: &[u8; 32],
        csrf_hash: &[u8; 32],
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        sqlx::query("DELETE FROM browser_session WHERE expires_at <= $1")
            .bind(at)
            .execute(self.connection())
            .await?;
        sqlx::query(
            "INSERT INTO browser_session (hash, organization_id, user_id, csrf_hash, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(hash.to_vec())
        .bind(organization)
        .bind(user.to_string())
        .bind(csrf_hash.to_vec())
        .bind(at)
        .bind(expires_at.as_microsecond())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Ends a session.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn delete_browser_session(&mut self, hash: &[u8; 32]) -> Result<(), StoreError> {
        let organization = self.organization().to_string();
        sqlx::query("DELETE FROM browser_session WHERE organization_id = $1 AND hash = $2")
            .bind(organization)
            .bind(hash.to_vec())
            .execute(self.connection())
            .await?;
        Ok(())
    }
}
