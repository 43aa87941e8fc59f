//! The audit log.

use bailiwick_model::Permission;
use bailiwick_store::{AuditAnchor, AuditEntry, AuditHash, BrokenChain};

use crate::caller::Caller;
use crate::control::Control;
use crate::error::ControlError;

impl Control {
    /// At most `limit` entries after the one with the number `after`, the oldest first.
    ///
    /// # Errors
    ///
    /// What every use case may answer.
    pub async fn audit_log(
        &self,
        caller: &Caller,
        after: i64,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, ControlError> {
        caller.require(Permission::AuditRead)?;
        let scope = self.store.scope(&caller.organization);
        Ok(scope.audit_entries(after, limit).await?)
    }

    /// The last entry that was taken away since its time was over; `None` if none was.
    ///
    /// # Errors
    ///
    /// What every use case may answer.
    pub async fn audit_anchor(&self, caller: &Caller) -> Result<Option<AuditAnchor>, ControlError> {
        caller.require(Permission::AuditRead)?;
        let head = self.store.scope(&caller.organization).audit_head().await?;
        Ok(Some(head.anchor).filter(|anchor| anchor.sequence > 0))
    }

    /// Reads the whole log and compares every hash: the number of entries and the hash of the last one, or where it is not what was written.
    ///
    /// # Errors
    ///
    /// What every use case may answer.
    pub async fn verify_audit_log(
        &self,
        caller: &Caller,
    ) -> Result<Result<(i64, AuditHash), BrokenChain>, ControlError> {
        caller.require(Permission::AuditRead)?;
        let scope = self.store.scope(&caller.organization);
        Ok(scope.verify_audit_log().await?)
    }
}
