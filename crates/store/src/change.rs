//! A transaction of one organization.

use bailiwick_model::OrganizationId;
use jiff::Timestamp;

use crate::audit::{self, AuditEvent};
use crate::error::StoreError;
use crate::patience::{Patient, Transaction};
use crate::store::Store;

/// Changes that become visible together, or not at all: dropping it undoes them.
#[derive(Debug)]
pub struct Change {
    transaction: Transaction,
    organization: OrganizationId,
    at: Timestamp,
}

impl Store {
    /// Begins a change of one organization's things, at this moment.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn change(
        &self,
        organization: &OrganizationId,
        at: Timestamp,
    ) -> Result<Change, StoreError> {
        Ok(Change {
            transaction: self.begin().await?,
            organization: organization.clone(),
            at,
        })
    }
}

impl Change {
    /// Whose things it changes.
    pub fn organization(&self) -> &OrganizationId {
        &self.organization
    }

    /// When it is made, for every time that it stores.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    pub(crate) fn micros(&self) -> i64 {
        self.at.as_microsecond()
    }

    pub(crate) fn connection(&mut self) -> Patient<'_> {
        self.transaction.connection()
    }

    /// Waits until no other change of the organization goes on: for what is checked across several of its things. (SQLite has one writer.)
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn alone(&mut self) -> Result<(), StoreError> {
        let organization = self.organization().to_string();
        sqlx::query("UPDATE organization SET audit_sequence = audit_sequence WHERE id = $1")
            .bind(organization)
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// Enters a part of the change in the audit log, before the entry that [`Self::commit`] makes: for a change of several things.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn enter(&mut self, event: &AuditEvent<'_>) -> Result<(), StoreError> {
        audit::append(&mut self.transaction, &self.organization, self.at, event).await
    }

    /// Enters the change in the audit log and makes it visible. Nobody is told of a change before this has returned.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]; nothing is changed then.
    pub async fn commit(mut self, event: &AuditEvent<'_>) -> Result<(), StoreError> {
        audit::append(&mut self.transaction, &self.organization, self.at, event).await?;
        self.transaction.commit().await
    }
}
