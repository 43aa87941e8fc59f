//! Thresholds of limits that were passed.

use bailiwick_model::{LimitId, OrganizationId};
use jiff::Timestamp;
use sqlx::any::AnyRow;

use crate::error::StoreError;
use crate::row::Columns;
use crate::spend::{SpendAccount, Spending};
use crate::store::{Scope, Store};

/// A threshold that was passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitAlert {
    /// From 1 on, in the order in which they were passed.
    pub sequence: i64,
    /// When that was found.
    pub at: Timestamp,
    /// Of which limit.
    pub limit: LimitId,
    /// How much of it was spent, as JSON, with the limit as it was then.
    pub alert: String,
}

/// One that is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLimitAlert {
    /// Of which account.
    pub account: SpendAccount,
    /// Which of its thresholds.
    pub percent: u16,
    /// When that was found.
    pub at: Timestamp,
    /// As JSON.
    pub alert: String,
}

impl LimitAlert {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            sequence: row.value("sequence")?,
            at: row.time("at")?,
            limit: row.id("limit_id")?,
            alert: row.value("alert")?,
        })
    }
}

impl Spending {
    /// The thresholds of an account that were told from this moment on, in percent.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn alerted(
        &mut self,
        account: &SpendAccount,
        since: Timestamp,
    ) -> Result<Vec<i64>, StoreError> {
        let organization = self.organization().to_string();
        let rows = sqlx::query(
            "SELECT percent FROM limit_alert WHERE limit_id = $1 AND user_id = $2 AND at >= $3 AND organization_id = $4",
        )
        .bind(account.limit.to_string())
        .bind(account.user_text())
        .bind(since.as_microsecond())
        .bind(organization)
        .fetch_all(self.connection())
        .await?;
        rows.iter().map(|row| row.value("percent")).collect()
    }

    /// Writes that a threshold was passed. Whoever holds the ledger is alone, so that numbers have no gaps and the order of their commits.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn insert_alert(&mut self, new: &NewLimitAlert) -> Result<(), StoreError> {
        let organization = self.organization().to_string();
        sqlx::query(
            "INSERT INTO limit_alert (organization_id, sequence, at, limit_id, user_id, percent, alert) \
             SELECT $1, COALESCE(MAX(sequence), 0) + 1, CAST($2 AS BIGINT), $3, $4, CAST($5 AS BIGINT), $6 FROM limit_alert WHERE organization_id = $1",
        )
        .bind(organization)
        .bind(new.at.as_microsecond())
        .bind(new.account.limit.to_string())
        .bind(new.account.user_text())
        .bind(i64::from(new.percent))
        .bind(new.alert.clone())
        .execute(self.connection())
        .await?;
        Ok(())
    }
}

impl Scope<'_> {
    /// Those after the one with the number `after`, the oldest first.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn limit_alerts(
        &self,
        after: i64,
        limit: u32,
    ) -> Result<Vec<LimitAlert>, StoreError> {
        let rows = sqlx::query(
            "SELECT sequence, at, limit_id, alert FROM limit_alert WHERE organization_id = $1 AND sequence > $2 ORDER BY sequence LIMIT $3",
        )
        .bind(self.organization.to_string())
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(self.pool)
        .await?;
        rows.iter().map(LimitAlert::read).collect()
    }
}

impl Store {
    /// Deletes those of an organization that were told before this moment, but for its last: numbers go on from it.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn sweep_alerts(
        &self,
        organization: &OrganizationId,
        before: Timestamp,
    ) -> Result<(), StoreError> {
        let statement = sqlx::query(
            "DELETE FROM limit_alert WHERE organization_id = $1 AND at < $2 \
             AND sequence < (SELECT MAX(sequence) FROM limit_alert WHERE organization_id = $1)",
        )
        .bind(organization.to_string())
        .bind(before.as_microsecond());
        self.execute(statement).await?;
        Ok(())
    }
}
