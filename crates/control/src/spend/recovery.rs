//! After a process that ended with requests under way.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use bailiwick_model::{OrganizationId, UsageKind};
use bailiwick_store::{StoreError, UsageRecord};

use super::journal::Abandoned;
use super::settling::record;
use super::{Ledger, Shared};

/// Why what was left could not be settled.
#[derive(Debug, thiserror::Error)]
pub enum NotRecovered {
    /// The directory or a file of it.
    #[error("the ledger's journal cannot be read")]
    Journal(#[from] io::Error),
    /// The database.
    #[error("what the ledger's journal has cannot be written to the database")]
    Store(#[from] StoreError),
}

/// What was left, and is settled now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Requests that had ended.
    pub settled: usize,
    /// Requests that had not: each counts as its worst case.
    pub expired: usize,
}

impl Ledger {
    /// Settles what processes left here that are gone, and begins a journal of this one's own. Called once, before anything is reserved.
    ///
    /// # Errors
    ///
    /// See [`NotRecovered`]. What was left is there still then.
    pub async fn begin(&self, directory: &Path) -> Result<Recovered, NotRecovered> {
        std::fs::create_dir_all(directory)?;
        let mut recovered = Recovered::default();
        for left in Abandoned::all(directory)? {
            if !self.0.knows_all_of(&left).await? {
                tracing::warn!(
                    "the ledger's journal of a server that ended is of another database: it stays until a server of that one begins here"
                );
                continue;
            }
            let mut by_organization: BTreeMap<&OrganizationId, Vec<&UsageRecord>> = BTreeMap::new();
            for (organization, record) in &left.requests {
                by_organization
                    .entry(organization)
                    .or_default()
                    .push(record);
            }
            for (organization, records) in by_organization {
                let new = self.0.recover(organization, &records).await?;
                recovered.settled += new.settled;
                recovered.expired += new.expired;
            }
            self.0.end_leases_of(&left.holder).await?;
            left.remove()?;
        }
        self.open_journal(directory)?;
        if recovered.expired > 0 {
            tracing::warn!(
                requests = recovered.expired,
                "requests to models were being answered when a server ended: each counts as what it could have taken at most"
            );
        }
        Ok(recovered)
    }
}

impl Shared {
    /// Whether it is of this database: one that it is not of has nothing of those who spent.
    async fn knows_all_of(&self, left: &Abandoned) -> Result<bool, StoreError> {
        let organizations: BTreeSet<_> = left
            .requests
            .iter()
            .map(|(organization, _)| organization)
            .collect();
        for organization in organizations {
            if self
                .store
                .scope(organization)
                .organization()
                .await?
                .is_none()
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn recover(
        &self,
        organization: &OrganizationId,
        records: &[&UsageRecord],
    ) -> Result<Recovered, StoreError> {
        let book = self.book(organization);
        let mut spending = self.store.spending(organization).await?;
        let version = spending.limits_version().await?;
        let rules = book.rules_of(&self.store, version).await?;
        let (mut new, mut recovered) = (Vec::new(), Recovered::default());
        for found in records {
            if spending.has_usage(&found.id).await? {
                continue;
            }
            match found.kind {
                UsageKind::Expired => recovered.expired += 1,
                UsageKind::Told | UsageKind::Streamed | UsageKind::Unknown => {
                    recovered.settled += 1;
                }
            }
            new.push((*found).clone());
        }
        record(&mut spending, &rules, &new).await?;
        spending.commit().await?;
        Ok(recovered)
    }

    /// All of what a process had spent of them is counted by now.
    async fn end_leases_of(&self, holder: &str) -> Result<(), StoreError> {
        for lease in self.store.leases_of(holder).await? {
            let mut spending = self.store.spending(&lease.organization).await?;
            spending.lower_lease(&lease.account, holder, 0).await?;
            spending.end_lease(&lease.account, holder).await?;
            spending.commit().await?;
        }
        Ok(())
    }
}
