//! The end of an audit log: what it was at some time, in a form that can be kept elsewhere.

use std::fmt;
use std::str::FromStr;

use bailiwick_control::parse_hash;
use bailiwick_store::AuditAnchor;
use serde::{Deserialize, Serialize};

/// The number of an entry and its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    /// The number of the entry.
    pub(super) entries: i64,
    /// 64 hexadecimal digits.
    pub(super) hash: String,
}

/// The last line of an exported log: without it, what was cut off would not be missed.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EndLine {
    /// The end.
    pub(super) end: Head,
}

/// The first line of an exported log whose first entries were taken away, since their time was over: the last of them.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AnchorLine {
    /// What the first entry that is left follows.
    pub(super) anchor: Head,
}

/// A text that is no head.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a head is the number of an entry and its hash, NUMBER:HASH, as `bailiwick audit-log verify` prints it"
)]
pub(crate) struct NotAHead;

impl Head {
    /// As where a chain begins; `None` if its hash is none.
    pub(super) fn anchor(&self) -> Option<AuditAnchor> {
        Some(AuditAnchor {
            sequence: self.entries,
            hash: parse_hash(&self.hash)?,
        })
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.entries, self.hash)
    }
}

impl FromStr for Head {
    type Err = NotAHead;

    fn from_str(text: &str) -> Result<Self, NotAHead> {
        let (number, hash) = text.split_once(':').ok_or(NotAHead)?;
        let entries = number.parse().map_err(|_| NotAHead)?;
        let is_hash = hash.len() == 64 && hash.bytes().all(|digit| digit.is_ascii_hexdigit());
        if entries < 1 || !is_hash {
            return Err(NotAHead);
        }
        Ok(Self {
            entries,
            hash: hash.to_ascii_lowercase(),
        })
    }
}
