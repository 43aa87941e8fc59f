//! Service accounts: what acts and is no person.

use bailiwick_model::{RoleId, ServiceAccountId};
use jiff::Timestamp;
use sqlx::any::AnyRow;

use crate::change::Change;
use crate::error::StoreError;
use crate::organization::name_key;
use crate::page::{Page, PageRequest};
use crate::row::Columns;
use crate::store::Scope;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, name, role_id, created_at FROM service_account WHERE organization_id = $1 ",
            $rest
        )
    };
}

/// A service account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceAccount {
    /// Its id.
    pub id: ServiceAccountId,
    /// What people call it.
    pub name: String,
    /// What it may do.
    pub role: RoleId,
    /// When it was made.
    pub created_at: Timestamp,
}

impl ServiceAccount {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id("id")?,
            name: row.value("name")?,
            role: row.id("role_id")?,
            created_at: row.time("created_at")?,
        })
    }
}

impl Scope<'_> {
    /// One service account.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn service_account(
        &self,
        id: &ServiceAccountId,
    ) -> Result<Option<ServiceAccount>, StoreError> {
        let row = sqlx::query(select!("AND id = $2"))
            .bind(self.organization.to_string())
            .bind(id.to_string())
            .fetch_optional(self.pool)
            .await?;
        row.as_ref().map(ServiceAccount::read).transpose()
    }

    /// Service accounts, the newest first.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn service_accounts(
        &self,
        page: &PageRequest<ServiceAccountId>,
    ) -> Result<Page<ServiceAccount, ServiceAccountId>, StoreError> {
        let rows = sqlx::query(select!("AND id < $2 ORDER BY id DESC LIMIT $3"))
            .bind(self.organization.to_string())
            .bind(page.bound())
            .bind(page.rows())
            .fetch_all(self.pool)
            .await?;
        let items = rows
            .iter()
            .map(ServiceAccount::read)
            .collect::<Result<_, _>>()?;
        Ok(Page::of(items, page, |account: &ServiceAccount| {
            account.id.clone()
        }))
    }
}

impl Change {
    /// Makes a service account.
    ///
    /// # Errors
    ///
    /// [`StoreError::Taken`] if there is one of this name.
    pub async fn insert_service_account(
        &mut self,
        id: &ServiceAccountId,
        name: &str,
        role: &RoleId,
    ) -> Result<ServiceAccount, StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        sqlx::query(
            "INSERT INTO service_account (id, organization_id, name, name_key, role_id, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(id.to_string())
        .bind(organization)
        .bind(name.to_owned())
        .bind(name_key(name))
        .bind(role.to_string())
        .bind(at)
        .execute(self.connection())
        .await?;
        Ok(ServiceAccount {
            id: id.clone(),
            name: name.to_owned(),
            role: role.clone(),
            created_at: self.at(),
        })
    }

    /// Deletes a service account with its keys; whether there was one.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn delete_service_account(
        &mut self,
        id: &ServiceAccountId,
    ) -> Result<bool, StoreError> {
        let organization = self.organization().to_string();
        let done =
            sqlx::query("DELETE FROM service_account WHERE organization_id = $1 AND id = $2")
                .bind(organization)
                .bind(id.to_string())
                .execute(self.connection())
                .await?;
        Ok(done.rows_affected() == 1)
    }
}
