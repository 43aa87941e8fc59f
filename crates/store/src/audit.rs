//! The audit log: append-only, each entry hashed together with the one before, so that a rewritten table shows.

use aws_lc_rs::digest::{SHA256, digest};
use bailiwick_model::OrganizationId;
use jiff::Timestamp;
use sqlx::any::AnyRow;

use crate::error::StoreError;
use crate::row::Columns;
use crate::store::Scope;
use crate::transaction::Transaction;

/// Entries that are in memory at once while a log is verified.
const VERIFIED_AT_ONCE: u32 = 200;

/// SHA-256.
pub type AuditHash = [u8; 32];

/// What is entered about a change, without secrets.
#[derive(Debug, Clone)]
pub struct AuditEvent<'a> {
    /// Who did it: `user`, `service_account`, `environment_key`, or `system`.
    pub actor_kind: &'a str,
    /// Which one.
    pub actor_id: &'a str,
    /// From where, if it came over the network.
    pub address: Option<String>,
    /// What was done, such as `environment.update`.
    pub action: &'a str,
    /// To what kind of thing.
    pub resource_kind: &'a str,
    /// To which one.
    pub resource_id: &'a str,
    /// What it was, as JSON.
    pub before: Option<String>,
    /// What it became, as JSON.
    pub after: Option<String>,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// From 1, without gaps.
    pub sequence: i64,
    /// When.
    pub at: Timestamp,
    /// See [`AuditEvent`], as what follows.
    pub actor_kind: String,
    /// Which one.
    pub actor_id: String,
    /// From where.
    pub address: Option<String>,
    /// What was done.
    pub action: String,
    /// To what kind of thing.
    pub resource_kind: String,
    /// To which one.
    pub resource_id: String,
    /// What it was, as JSON.
    pub before: Option<String>,
    /// What it became, as JSON.
    pub after: Option<String>,
    /// Of this entry and the hash before.
    pub hash: AuditHash,
}

/// Where a log is not what was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the audit log was changed or cut at entry {sequence}")]
pub struct BrokenChain {
    /// The first entry that does not fit.
    pub sequence: i64,
}

/// The last entry that was taken away because its time was over: where what is left of a log begins. The log itself says so, in an entry
/// that came with the removal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AuditAnchor {
    /// Its number; 0 if none was taken away.
    pub sequence: i64,
    /// Its hash.
    pub hash: AuditHash,
}

/// The two ends of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditHead {
    /// The number of the last entry.
    pub sequence: i64,
    /// Its hash.
    pub hash: AuditHash,
    /// Where it begins.
    pub anchor: AuditAnchor,
}

impl AuditAnchor {
    /// What the log calls it when entries are taken away.
    pub const ACTION: &str = "audit-log.expire";

    /// What the entry says that comes with the removal, as JSON.
    pub fn evidence(&self) -> String {
        let hash: String = self.hash.iter().map(|byte| format!("{byte:02x}")).collect();
        serde_json::json!({"entries": self.sequence, "hash": hash}).to_string()
    }
}

/// A log as far as it was followed: the one place that says what makes it whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditChain {
    organization: OrganizationId,
    sequence: i64,
    hash: AuditHash,
    /// What was taken away before, until an entry was found that says so.
    unproven: Option<AuditAnchor>,
}

impl AuditChain {
    /// Before the first entry.
    pub fn new(organization: OrganizationId) -> Self {
        Self::after(organization, AuditAnchor::default())
    }

    /// Before the first entry that is left.
    pub fn after(organization: OrganizationId, anchor: AuditAnchor) -> Self {
        Self {
            organization,
            sequence: anchor.sequence,
            hash: anchor.hash,
            unproven: (anchor.sequence > 0).then_some(anchor),
        }
    }

    /// Ends it: the number of the last entry and its hash; 0 and zeros of an empty log.
    ///
    /// # Errors
    ///
    /// [`BrokenChain`] if entries before the first are missing and none says that they were taken away.
    pub fn finish(&self) -> Result<(i64, AuditHash), BrokenChain> {
        match self.unproven {
            Some(AuditAnchor { sequence, .. }) => Err(BrokenChain { sequence }),
            None => Ok(self.end()),
        }
    }

    /// Goes on to the next entry.
    ///
    /// # Errors
    ///
    /// [`BrokenChain`] if it is not the one that was written after those before.
    pub fn follow(&mut self, entry: &AuditEntry) -> Result<(), BrokenChain> {
        let (sequence, hash) = (
            self.sequence + 1,
            entry.hash_after(&self.hash, &self.organization),
        );
        if entry.sequence != sequence || entry.hash != hash {
            return Err(BrokenChain { sequence });
        }
        (self.sequence, self.hash) = (sequence, hash);
        if self.unproven.is_some_and(|anchor| entry.tells_of(&anchor)) {
            self.unproven = None;
        }
        Ok(())
    }

    /// The number of the last entry and its hash; 0 and zeros before the first.
    pub fn end(&self) -> (i64, AuditHash) {
        (self.sequence, self.hash)
    }
}

impl AuditEntry {
    /// The hash that this entry has if `previous` is the one before: SHA-256 of the previous hash and the entry's fields as a JSON list.
    ///
    /// The organization is the first of the fields, so that an entry of one log cannot stand in another.
    pub fn hash_after(&self, previous: &AuditHash, organization: &OrganizationId) -> AuditHash {
        let fields = serde_json::json!([
            organization.to_string(),
            self.sequence,
            self.at.as_microsecond(),
            self.actor_kind,
            self.actor_id,
            self.address,
            self.action,
            self.resource_kind,
            self.resource_id,
            self.before,
            self.after,
        ]);
        let mut bytes = previous.to_vec();
        bytes.extend_from_slice(fields.to_string().as_bytes());
        let mut hash = AuditHash::default();
        hash.copy_from_slice(digest(&SHA256, &bytes).as_ref());
        hash
    }

    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            sequence: row.value("sequence")?,
            at: row.time("at")?,
            actor_kind: row.value("actor_kind")?,
            actor_id: row.value("actor_id")?,
            address: row.value("address")?,
            action: row.value("action")?,
            resource_kind: row.value("resource_kind")?,
            resource_id: row.value("resource_id")?,
            before: row.value("before_change")?,
            after: row.value("after_change")?,
            hash: row.hash("hash")?,
        })
    }
}

/// Where a log ends: what its next entry comes after.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AuditEnd {
    sequence: i64,
    hash: AuditHash,
}

impl AuditEnd {
    pub(crate) fn read(row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            sequence: row.value("audit_sequence")?,
            hash: row.hash("audit_hash")?,
        })
    }
}

/// Enters what comes after the end of a log; where it ends then. Changes of an organization follow each other, so that nobody else has moved its
/// end meanwhile, and entries have the order of their commits.
pub(crate) async fn append(
    transaction: &mut Transaction,
    organization: &OrganizationId,
    at: Timestamp,
    end: Option<AuditEnd>,
    event: &AuditEvent<'_>,
) -> Result<AuditEnd, StoreError> {
    let end = match end {
        Some(end) => end,
        None => {
            let row =
                sqlx::query("SELECT audit_sequence, audit_hash FROM organization WHERE id = $1")
                    .bind(organization.to_string())
                    .fetch_one(transaction.connection())
                    .await?;
            AuditEnd::read(&row)?
        }
    };
    let mut entry = AuditEntry {
        sequence: end.sequence + 1,
        at,
        actor_kind: event.actor_kind.to_owned(),
        actor_id: event.actor_id.to_owned(),
        address: event.address.clone(),
        action: event.action.to_owned(),
        resource_kind: event.resource_kind.to_owned(),
        resource_id: event.resource_id.to_owned(),
        before: event.before.clone(),
        after: event.after.clone(),
        hash: AuditHash::default(),
    };
    entry.hash = entry.hash_after(&end.hash, organization);
    let end = AuditEnd {
        sequence: entry.sequence,
        hash: entry.hash,
    };
    sqlx::query("UPDATE organization SET audit_sequence = $2, audit_hash = $3 WHERE id = $1")
        .bind(organization.to_string())
        .bind(end.sequence)
        .bind(end.hash.to_vec())
        .execute(transaction.connection())
        .await?;
    insert(transaction, organization, entry).await?;
    Ok(end)
}

async fn insert(
    transaction: &mut Transaction,
    organization: &OrganizationId,
    entry: AuditEntry,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO audit_entry (organization_id, sequence, at, actor_kind, actor_id, address, action, resource_kind, resource_id, \
         before_change, after_change, hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(organization.to_string())
    .bind(entry.sequence)
    .bind(entry.at.as_microsecond())
    .bind(entry.actor_kind)
    .bind(entry.actor_id)
    .bind(entry.address)
    .bind(entry.action)
    .bind(entry.resource_kind)
    .bind(entry.resource_id)
    .bind(entry.before)
    .bind(entry.after)
    .bind(entry.hash.to_vec())
    .execute(transaction.connection())
    .await?;
    Ok(())
}

impl Scope<'_> {
    /// Entries of the audit log after `sequence`, the oldest first.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn audit_entries(
        &self,
        after: i64,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let rows = sqlx::query(
            "SELECT sequence, at, actor_kind, actor_id, address, action, resource_kind, resource_id, before_change, after_change, hash \
             FROM audit_entry WHERE organization_id = $1 AND sequence > $2 ORDER BY sequence LIMIT $3",
        )
        .bind(self.organization.to_string())
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(self.pool)
        .await?;
        rows.iter().map(AuditEntry::read).collect()
    }

    /// Where the log begins and ends.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn audit_head(&self) -> Result<AuditHead, StoreError> {
        let row = sqlx::query(
            "SELECT audit_sequence, audit_hash, audit_anchor_sequence, COALESCE(audit_anchor_hash, $2) AS audit_anchor_hash \
             FROM organization WHERE id = $1",
        )
        .bind(self.organization.to_string())
        .bind(AuditHash::default().to_vec())
        .fetch_one(self.pool)
        .await?;
        Ok(AuditHead {
            sequence: row.value("audit_sequence")?,
            hash: row.hash("audit_hash")?,
            anchor: AuditAnchor {
                sequence: row.value("audit_anchor_sequence")?,
                hash: row.hash("audit_anchor_hash")?,
            },
        })
    }

    /// Reads the whole log and compares every hash; the number of the last entry and its hash.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]; the inner error says where the log is not what was written.
    pub async fn verify_audit_log(
        &self,
    ) -> Result<Result<(i64, AuditHash), BrokenChain>, StoreError> {
        let mut head = self.audit_head().await?;
        loop {
            let found = self.verify_from(&head).await?;
            let now = self.audit_head().await?;
            // What was taken away meanwhile is no gap.
            if found.is_ok() || now.anchor == head.anchor {
                return Ok(found);
            }
            head = now;
        }
    }

    async fn verify_from(
        &self,
        head: &AuditHead,
    ) -> Result<Result<(i64, AuditHash), BrokenChain>, StoreError> {
        let last = head.sequence;
        let mut chain = AuditChain::after(self.organization.clone(), head.anchor);
        while chain.end().0 < last {
            let after = chain.end().0;
            let entries = self.audit_entries(after, VERIFIED_AT_ONCE).await?;
            if entries.is_empty() {
                let sequence = after + 1;
                return Ok(Err(BrokenChain { sequence }));
            }
            // No more than there were: entries that were made since have another end. A gap is an entry that does not fit.
            let there_were = usize::try_from(last - after).unwrap_or(usize::MAX);
            for entry in entries.iter().take(there_were) {
                if let Err(broken) = chain.follow(entry) {
                    return Ok(Err(broken));
                }
            }
        }
        if chain.end() == (last, head.hash) {
            Ok(chain.finish())
        } else {
            Ok(Err(BrokenChain { sequence: last }))
        }
    }
}
