//! An entry of the audit log as it is shown, exported and verified.

use bailiwick_model::OrganizationId;
use bailiwick_store::{AuditEntry, AuditHash};
use bailiwick_wire::Schema;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// One entry as JSON. What its hash covers is kept to the letter: `before` and `after` are the texts that were stored.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditLine {
    organization_id: OrganizationId,
    sequence: i64,
    at: Timestamp,
    actor: Thing,
    address: Option<String>,
    action: String,
    resource: Thing,
    before: Option<Box<RawValue>>,
    after: Option<Box<RawValue>>,
    hash: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Thing {
    kind: String,
    id: String,
}

/// A line of an exported log that is none.
#[derive(Debug, thiserror::Error)]
pub enum NotAnAuditLine {
    /// It is not the JSON of an entry.
    #[error("it is not an entry of an audit log")]
    Json(#[from] serde_json::Error),
    /// Its hash is none.
    #[error("its hash is not 64 hexadecimal digits")]
    Hash,
}

impl AuditLine {
    /// What it looks like.
    pub fn schema() -> Schema {
        let thing = Schema::answer()
            .has("kind", Schema::text())
            .has("id", Schema::text());
        let change = |what: &str| Schema::any().says(what);
        Schema::answer()
            .has("organization_id", Schema::id::<OrganizationId>())
            .has("sequence", Schema::version())
            .has("at", Schema::moment())
            .has("actor", thing.clone())
            .has("address", Schema::text().or_null())
            .has("action", Schema::text())
            .has("resource", thing)
            .has("before", change("What it was, without secrets."))
            .has("after", change("What it became, without secrets."))
            .has("hash", Schema::text().matching("^[0-9a-f]{64}$"))
            .named("AuditEntry")
    }

    /// An entry of this organization's log.
    ///
    /// # Errors
    ///
    /// If what was stored as JSON is none.
    pub fn of(organization: &OrganizationId, entry: AuditEntry) -> Result<Self, serde_json::Error> {
        let raw = |text: Option<String>| text.map(RawValue::from_string).transpose();
        Ok(Self {
            organization_id: organization.clone(),
            sequence: entry.sequence,
            at: entry.at,
            actor: Thing {
                kind: entry.actor_kind,
                id: entry.actor_id,
            },
            address: entry.address,
            action: entry.action,
            resource: Thing {
                kind: entry.resource_kind,
                id: entry.resource_id,
            },
            before: raw(entry.before)?,
            after: raw(entry.after)?,
            hash: hash_text(&entry.hash),
        })
    }

    /// Reads a line of an exported log: whose it is, and the entry.
    ///
    /// # Errors
    ///
    /// [`NotAnAuditLine`].
    pub fn parse(line: &str) -> Result<(OrganizationId, AuditEntry), NotAnAuditLine> {
        let line: Self = serde_json::from_str(line)?;
        let text = |raw: Option<Box<RawValue>>| raw.map(|raw| raw.get().to_owned());
        let entry = AuditEntry {
            sequence: line.sequence,
            at: line.at,
            actor_kind: line.actor.kind,
            actor_id: line.actor.id,
            address: line.address,
            action: line.action,
            resource_kind: line.resource.kind,
            resource_id: line.resource.id,
            before: text(line.before),
            after: text(line.after),
            hash: parse_hash(&line.hash).ok_or(NotAnAuditLine::Hash)?,
        };
        Ok((line.organization_id, entry))
    }
}

/// A hash as 64 hexadecimal digits.
pub fn hash_text(hash: &AuditHash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A hash of 64 hexadecimal digits.
pub fn parse_hash(text: &str) -> Option<AuditHash> {
    let is_hexadecimal = text.bytes().all(|digit| digit.is_ascii_hexdigit());
    if text.len() != 64 || !is_hexadecimal {
        return None;
    }
    let mut hash = AuditHash::default();
    for (byte, digits) in hash.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(hash)
}
