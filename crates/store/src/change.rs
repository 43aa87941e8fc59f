//! A transaction of one organization.

use bailiwick_model::{EnvironmentId, OrganizationId};
use jiff::Timestamp;

use crate::audit::{self, AuditEnd, AuditEvent};
use crate::dialect::Dialect;
use crate::environment::Environment;
use crate::environment_revision;
use crate::error::StoreError;
use crate::patience::Patient;
use crate::store::Store;
use crate::transaction::Transaction;

/// Changes that become visible together, or not at all: dropping it undoes them.
///
/// Those of one organization follow each other, from the beginning of one to its end. So what is checked across several things holds until it is
/// committed, and no two wait for each other. The end of the audit log's chain would make them wait for each other anyway.
#[derive(Debug)]
pub struct Change {
    transaction: Transaction,
    organization: OrganizationId,
    at: Timestamp,
    /// Where the audit log ends, once it was read under the lock.
    audit_end: Option<AuditEnd>,
    /// Environments that it changed, whose revisions are written with the entry that says by whom.
    revised: Vec<Environment>,
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
        let transaction = self.begin().await?;
        self.change_in(transaction, organization, at).await
    }

    /// The same, of one that goes to the disk with others that begin so. Of what it sees of theirs, those who read see nothing yet; what
    /// [`Self::change`] began before, they see. Nobody is told anything because of it before it was committed or undone.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn shared_change(
        &self,
        organization: &OrganizationId,
        at: Timestamp,
    ) -> Result<Change, StoreError> {
        let transaction = self.begin_shared().await?;
        self.change_in(transaction, organization, at).await
    }

    async fn change_in(
        &self,
        mut transaction: Transaction,
        organization: &OrganizationId,
        at: Timestamp,
    ) -> Result<Change, StoreError> {
        let audit_end = match self.dialect() {
            // It has one writer.
            Dialect::Sqlite => None,
            Dialect::Postgres => {
                let row = sqlx::query(
                    "SELECT audit_sequence, audit_hash FROM organization WHERE id = $1 FOR NO KEY UPDATE",
                )
                .bind(organization.to_string())
                .fetch_optional(transaction.connection())
                .await?;
                row.as_ref().map(AuditEnd::read).transpose()?
            }
        };
        Ok(Change {
            transaction,
            organization: organization.clone(),
            at,
            audit_end,
            revised: Vec::new(),
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

    pub(crate) fn parts(&mut self) -> (&mut Transaction, OrganizationId, Timestamp) {
        (&mut self.transaction, self.organization.clone(), self.at)
    }

    /// Makes a revision of what an environment has become.
    pub(crate) fn revises(&mut self, environment: &Environment) {
        self.revised.push(environment.clone());
    }

    /// An environment that is gone has no revisions.
    pub(crate) fn revises_no_more(&mut self, environment: &EnvironmentId) {
        self.revised.retain(|revised| revised.id != *environment);
    }

    pub(crate) fn connection(&mut self) -> Patient<'_> {
        self.transaction.connection()
    }

    /// Enters a part of the change in the audit log, before the entry that [`Self::commit`] makes: for a change of several things.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn enter(&mut self, event: &AuditEvent<'_>) -> Result<(), StoreError> {
        let (transaction, end) = (&mut self.transaction, self.audit_end);
        let entered = audit::append(transaction, &self.organization, self.at, end, event).await;
        self.audit_end = Some(entered?);
        Ok(())
    }

    /// Enters the change in the audit log and makes it visible. Nobody is told of a change before this has returned.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]; nothing is changed then.
    pub async fn commit(mut self, event: &AuditEvent<'_>) -> Result<(), StoreError> {
        let at = self.micros();
        for environment in std::mem::take(&mut self.revised) {
            environment_revision::insert(&mut self.transaction, &environment, at, event).await?;
        }
        self.enter(event).await?;
        self.transaction.commit().await
    }

    /// Undoes it, once what it saw of others is there for those who read: what somebody is told because of it is true then.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]; nothing is changed then either.
    pub async fn undo(self) -> Result<(), StoreError> {
        self.transaction.undo().await
    }
}
