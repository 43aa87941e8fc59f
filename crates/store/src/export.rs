//! What was delivered where, and which of several servers delivers.

use bailiwick_model::OrganizationId;
use jiff::Timestamp;

use crate::error::StoreError;
use crate::row::Columns;
use crate::store::{Scope, Store};

impl Store {
    /// All organizations, the oldest first.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn organizations(&self) -> Result<Vec<OrganizationId>, StoreError> {
        let rows = sqlx::query("SELECT id FROM organization ORDER BY id")
            .fetch_all(self.reader())
            .await?;
        rows.iter().map(|row| row.id("id")).collect()
    }

    /// Takes or prolongs a lease until then, for whoever does at a time what the name stands for; whether it was free or theirs.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn lease(
        &self,
        name: &str,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let statement = sqlx::query(
            "INSERT INTO lease (name, holder, expires_at) VALUES ($1, $2, $4) ON CONFLICT (name) DO UPDATE SET holder = $2, expires_at = $4 \
             WHERE lease.holder = $2 OR lease.expires_at <= $3",
        )
        .bind(name.to_owned())
        .bind(holder.to_owned())
        .bind(now.as_microsecond())
        .bind(until.as_microsecond());
        let done = self.execute(statement).await?;
        Ok(done.rows_affected() == 1)
    }

    /// Gives a lease back, if it is this holder's.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn release(&self, name: &str, holder: &str) -> Result<(), StoreError> {
        let statement = sqlx::query("DELETE FROM lease WHERE name = $1 AND holder = $2")
            .bind(name.to_owned())
            .bind(holder.to_owned());
        self.execute(statement).await?;
        Ok(())
    }

    /// Remembers that an organization's records up to `sequence` were delivered to a destination. It never goes back.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn delivered(
        &self,
        organization: &OrganizationId,
        destination: &str,
        sequence: i64,
    ) -> Result<(), StoreError> {
        let statement = sqlx::query(
            "INSERT INTO export_cursor (organization_id, destination, sequence) VALUES ($1, $2, $3) \
             ON CONFLICT (destination, organization_id) DO UPDATE SET sequence = $3 WHERE export_cursor.sequence < $3",
        )
        .bind(organization.to_string())
        .bind(destination.to_owned())
        .bind(sequence);
        self.execute(statement).await?;
        Ok(())
    }
}

impl Scope<'_> {
    /// The number of the last record that was delivered to a destination; 0 before the first.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn delivered(&self, destination: &str) -> Result<i64, StoreError> {
        let row = sqlx::query(
            "SELECT sequence FROM export_cursor WHERE organization_id = $1 AND destination = $2",
        )
        .bind(self.organization.to_string())
        .bind(destination.to_owned())
        .fetch_optional(self.pool)
        .await?;
        row.map_or(Ok(0), |row| row.value("sequence"))
    }
}
