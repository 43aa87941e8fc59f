//! What was spent of limits, and what servers have taken to spend.
//!
//! Whoever takes or counts holds the organization's ledger: what was read under it is so until it is committed.

use bailiwick_model::limits::SPEND_OF_BUCKET;
use bailiwick_model::{LimitId, OrganizationId, UsageRecordId, UserId};
use jiff::Timestamp;
use sqlx::any::AnyRow;

use crate::change::Change;
use crate::error::StoreError;
use crate::patience::Patient;
use crate::row::Columns;
use crate::store::{Scope, Store};
use crate::transaction::Transaction;
use crate::usage_record::{UsageRecord, insert_all};

/// What is counted by itself: a limit, or of a limit for each user one of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpendAccount {
    /// The limit.
    pub limit: LimitId,
    /// Of a limit for each user, which.
    pub user: Option<UserId>,
}

/// What a server has taken of an account, to spend it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpendLease {
    /// Whose it is.
    pub organization: OrganizationId,
    /// Of which account.
    pub account: SpendAccount,
    /// Which server has it.
    pub holder: String,
    /// How much of it is not counted yet, in the unit of the limit.
    pub amount: i64,
    /// Until when the server may spend of it.
    pub expires_at: Timestamp,
    /// The bucket that it was counted in when the server did not come back, by its beginning in seconds.
    pub charged_in: Option<i64>,
}

/// The ledger of one organization, held.
#[derive(Debug)]
pub struct Spending {
    transaction: Transaction,
    organization: OrganizationId,
}

impl SpendAccount {
    /// As it is stored: of a limit that is not for each user, an empty text.
    pub(crate) fn user_text(&self) -> String {
        self.user
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default()
    }
}

impl SpendLease {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        let user = row.value::<String>("user_id")?;
        Ok(Self {
            organization: row.id("organization_id")?,
            account: SpendAccount {
                limit: row.id("limit_id")?,
                user: match user.is_empty() {
                    true => None,
                    false => Some(row.id("user_id")?),
                },
            },
            holder: row.value("holder")?,
            amount: row.value("amount")?,
            expires_at: row.time("expires_at")?,
            charged_in: row.value("charged_in")?,
        })
    }
}

macro_rules! select_lease {
    ($rest:literal) => {
        concat!(
            "SELECT organization_id, limit_id, user_id, holder, amount, expires_at, charged_in FROM spend_lease WHERE ",
            $rest
        )
    };
}

impl Store {
    /// Holds the ledger of an organization, once nobody else does.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn spending(&self, organization: &OrganizationId) -> Result<Spending, StoreError> {
        let mut transaction = self.begin_shared().await?;
        lock(&mut transaction, organization).await?;
        Ok(Spending {
            transaction,
            organization: organization.clone(),
        })
    }

    /// Leases of all organizations whose time was over before this, and that nobody has counted, the oldest first.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn expired_leases(
        &self,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<SpendLease>, StoreError> {
        let rows = sqlx::query(select_lease!(
            "expires_at < $1 AND charged_in IS NULL ORDER BY expires_at LIMIT $2"
        ))
        .bind(before.as_microsecond())
        .bind(i64::from(limit))
        .fetch_all(self.reader())
        .await?;
        rows.iter().map(SpendLease::read).collect()
    }

    /// All that a server has taken, of all organizations.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn leases_of(&self, holder: &str) -> Result<Vec<SpendLease>, StoreError> {
        let rows = sqlx::query(select_lease!("holder = $1 ORDER BY limit_id, user_id"))
            .bind(holder.to_owned())
            .fetch_all(self.reader())
            .await?;
        rows.iter().map(SpendLease::read).collect()
    }

    /// Prolongs all that a server has taken and that was not counted as lost.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn prolong_leases(
        &self,
        holder: &str,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        let statement = sqlx::query(
            "UPDATE spend_lease SET expires_at = $2 WHERE holder = $1 AND charged_in IS NULL",
        )
        .bind(holder.to_owned())
        .bind(expires_at.as_microsecond());
        self.execute(statement).await?;
        Ok(())
    }
}

async fn lock(
    transaction: &mut Transaction,
    organization: &OrganizationId,
) -> Result<(), StoreError> {
    // The row is there or is made, and it is locked either way.
    sqlx::query(
        "INSERT INTO spend_ledger (organization_id) VALUES ($1) \
         ON CONFLICT (organization_id) DO UPDATE SET organization_id = excluded.organization_id",
    )
    .bind(organization.to_string())
    .execute(transaction.connection())
    .await?;
    Ok(())
}

impl Spending {
    /// Whose ledger it is.
    pub fn organization(&self) -> &OrganizationId {
        &self.organization
    }

    pub(crate) fn connection(&mut self) -> Patient<'_> {
        self.transaction.connection()
    }

    /// What was spent of an account in its buckets from one on.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn spent(&mut self, account: &SpendAccount, from: i64) -> Result<i64, StoreError> {
        let row = sqlx::query(SPENT)
            .bind(account.limit.to_string())
            .bind(account.user_text())
            .bind(from)
            .bind(self.organization.to_string())
            .fetch_one(self.transaction.connection())
            .await?;
        row.value("spent")
    }

    /// What servers have taken of an account and what is not counted yet. A lease whose time is over counts until it is charged.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn leases(&mut self, account: &SpendAccount) -> Result<Vec<SpendLease>, StoreError> {
        let rows = sqlx::query(select_lease!(
            "limit_id = $1 AND user_id = $2 AND organization_id = $3"
        ))
        .bind(account.limit.to_string())
        .bind(account.user_text())
        .bind(self.organization.to_string())
        .fetch_all(self.transaction.connection())
        .await?;
        rows.iter().map(SpendLease::read).collect()
    }

    /// Writes what a server has taken of an account from now on, which is all of it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Referred`] if the limit is gone.
    pub async fn put_lease(&mut self, lease: &SpendLease) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO spend_lease (organization_id, limit_id, user_id, holder, amount, expires_at, charged_in) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (limit_id, user_id, holder) \
             DO UPDATE SET amount = excluded.amount, expires_at = excluded.expires_at, charged_in = excluded.charged_in",
        )
        .bind(self.organization.to_string())
        .bind(lease.account.limit.to_string())
        .bind(lease.account.user_text())
        .bind(lease.holder.clone())
        .bind(lease.amount)
        .bind(lease.expires_at.as_microsecond())
        .bind(lease.charged_in)
        .execute(self.transaction.connection())
        .await?;
        Ok(())
    }

    /// Lowers what a server has taken of an account by what it tells of having spent, and says what is left. If it was counted as spent already,
    /// since the server was thought to be gone, that is taken back.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn lower_lease(
        &mut self,
        account: &SpendAccount,
        holder: &str,
        amount: i64,
    ) -> Result<i64, StoreError> {
        let leases = self.leases(account).await?;
        let Some(own) = leases.into_iter().find(|lease| lease.holder == holder) else {
            return Ok(0);
        };
        self.uncharge(&own).await?;
        let lowered = SpendLease {
            amount: own.amount.saturating_sub(amount).max(0),
            charged_in: None,
            ..own
        };
        self.put_lease(&lowered).await?;
        Ok(lowered.amount)
    }

    /// Takes back that a lease was counted as spent, if it was.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn uncharge(&mut self, lease: &SpendLease) -> Result<(), StoreError> {
        match lease.charged_in {
            Some(bucket) => self.count(&lease.account, bucket, -lease.amount).await,
            None => Ok(()),
        }
    }

    /// Ends a lease: what was left of it is everybody's again.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn end_lease(
        &mut self,
        account: &SpendAccount,
        holder: &str,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "DELETE FROM spend_lease WHERE limit_id = $1 AND user_id = $2 AND holder = $3 AND organization_id = $4",
        )
        .bind(account.limit.to_string())
        .bind(account.user_text())
        .bind(holder.to_owned())
        .bind(self.organization.to_string())
        .execute(self.transaction.connection())
        .await?;
        Ok(())
    }

    /// Counts an amount, which may be negative, in a bucket of an account. Of a limit that is gone nothing is counted.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn count(
        &mut self,
        account: &SpendAccount,
        starts_at: i64,
        amount: i64,
    ) -> Result<(), StoreError> {
        count(
            &mut self.transaction,
            &self.organization,
            account,
            (starts_at, amount),
        )
        .await
    }

    /// Writes records of usage, but for those that are there already.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn insert_usage(&mut self, records: &[UsageRecord]) -> Result<(), StoreError> {
        insert_all(&mut self.transaction, &self.organization, records).await
    }

    /// Whether there is such a record already.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn has_usage(&mut self, id: &UsageRecordId) -> Result<bool, StoreError> {
        let row =
            sqlx::query("SELECT 1 AS one FROM usage_record WHERE organization_id = $1 AND id = $2")
                .bind(self.organization.to_string())
                .bind(id.to_string())
                .fetch_optional(self.transaction.connection())
                .await?;
        Ok(row.is_some())
    }

    /// Counts the changes of the limits, as it is now.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn limits_version(&mut self) -> Result<i64, StoreError> {
        let row = sqlx::query("SELECT limits_version FROM organization WHERE id = $1")
            .bind(self.organization.to_string())
            .fetch_one(self.transaction.connection())
            .await?;
        row.value("limits_version")
    }

    /// Makes it visible, once it is on the disk.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn commit(self) -> Result<(), StoreError> {
        self.transaction.commit().await
    }

    /// Lets go of the ledger, once what was seen is there for those who read.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn undo(self) -> Result<(), StoreError> {
        self.transaction.undo().await
    }
}

const SPENT: &str = "SELECT CAST(COALESCE(SUM(spent), 0) AS BIGINT) AS spent FROM spend_bucket \
     WHERE limit_id = $1 AND user_id = $2 AND starts_at >= $3 AND organization_id = $4";

async fn count(
    transaction: &mut Transaction,
    organization: &OrganizationId,
    account: &SpendAccount,
    (starts_at, amount): (i64, i64),
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO spend_bucket (organization_id, limit_id, user_id, starts_at, spent) \
         SELECT organization_id, id, $2, CAST($3 AS BIGINT), CAST($4 AS BIGINT) FROM spend_limit WHERE id = $1 AND organization_id = $5 \
         ON CONFLICT (limit_id, user_id, starts_at) DO UPDATE SET spent = CASE WHEN spend_bucket.spent > CAST($6 AS BIGINT) - excluded.spent THEN CAST($6 AS BIGINT) \
         ELSE spend_bucket.spent + excluded.spent END",
    )
    .bind(account.limit.to_string())
    .bind(account.user_text())
    .bind(starts_at)
    .bind(amount.min(SPEND_OF_BUCKET))
    .bind(organization.to_string())
    .bind(SPEND_OF_BUCKET)
    .execute(transaction.connection())
    .await?;
    Ok(())
}

impl Scope<'_> {
    /// What was spent of an account in its buckets from one on, and what servers have taken of it.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn spent_and_leased(
        &self,
        account: &SpendAccount,
        from: i64,
    ) -> Result<(i64, i64), StoreError> {
        let spent = sqlx::query(SPENT)
            .bind(account.limit.to_string())
            .bind(account.user_text())
            .bind(from)
            .bind(self.organization.to_string())
            .fetch_one(self.pool)
            .await?;
        let leased = sqlx::query(
            "SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) AS leased FROM spend_lease \
             WHERE limit_id = $1 AND user_id = $2 AND organization_id = $3 AND charged_in IS NULL",
        )
        .bind(account.limit.to_string())
        .bind(account.user_text())
        .bind(self.organization.to_string())
        .fetch_one(self.pool)
        .await?;
        Ok((spent.value("spent")?, leased.value("leased")?))
    }

    /// What each user has spent of a limit for each user, from a bucket on; who spent most comes first.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn spent_by_user(
        &self,
        limit: &LimitId,
        from: i64,
        most: u32,
    ) -> Result<Vec<(UserId, i64)>, StoreError> {
        let rows = sqlx::query(
            "SELECT user_id, CAST(SUM(spent) AS BIGINT) AS spent FROM spend_bucket \
             WHERE limit_id = $1 AND organization_id = $2 AND starts_at >= $3 AND user_id <> '' GROUP BY user_id ORDER BY spent DESC, user_id LIMIT $4",
        )
        .bind(limit.to_string())
        .bind(self.organization.to_string())
        .bind(from)
        .bind(i64::from(most))
        .fetch_all(self.pool)
        .await?;
        let read = |row: &AnyRow| Ok((row.id("user_id")?, row.value("spent")?));
        rows.iter().map(read).collect()
    }
}

impl Change {
    /// Holds the organization's ledger until this change ends.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn hold_ledger(&mut self) -> Result<(), StoreError> {
        let (transaction, organization, _) = self.parts();
        lock(transaction, &organization).await
    }

    /// Forgets what was counted for a limit: it is counted anew.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn clear_buckets(&mut self, limit: &LimitId) -> Result<(), StoreError> {
        let organization = self.organization().to_string();
        for statement in [
            "DELETE FROM spend_bucket WHERE limit_id = $1 AND organization_id = $2",
            "UPDATE spend_lease SET charged_in = NULL, amount = 0 WHERE limit_id = $1 AND organization_id = $2 AND charged_in IS NOT NULL",
        ] {
            sqlx::query(statement)
                .bind(limit.to_string())
                .bind(organization.clone())
                .execute(self.connection())
                .await?;
        }
        Ok(())
    }

    /// Counts an amount in a bucket of an account.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn count_spent(
        &mut self,
        account: &SpendAccount,
        starts_at: i64,
        amount: i64,
    ) -> Result<(), StoreError> {
        let (transaction, organization, _) = self.parts();
        count(transaction, &organization, account, (starts_at, amount)).await
    }
}
