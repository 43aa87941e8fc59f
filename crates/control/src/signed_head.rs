//! The head of an audit log, signed, so that it can be kept elsewhere: whoever writes to the database later can neither make another one
//! for that time nor a log that leads to it.

use std::fmt;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use bailiwick_model::{OrganizationId, Permission};
use bailiwick_store::AuditHash;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::audit_json::{hash_text, parse_hash};
use crate::caller::Caller;
use crate::clock;
use crate::control::Control;
use crate::error::ControlError;

/// What a signature of Ed25519 is of (RFC 8032): a signature of another thing is none of a head.
const FORM: &str = "bailiwick audit log head 1";

/// The end of a log at a moment, and whose word it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedHead {
    /// Whose log.
    pub organization_id: OrganizationId,
    /// The number of the last entry.
    pub entries: i64,
    /// Its hash, 64 hexadecimal digits.
    pub hash: String,
    /// When.
    pub at: Timestamp,
    /// `ed25519`.
    pub algorithm: Algorithm,
    /// The key that the signature is checked with, in base64.
    pub public_key: String,
    /// Of the four first, in base64.
    pub signature: String,
}

/// How a head is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// RFC 8032.
    Ed25519,
}

/// Why a head is not what a server signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotSigned {
    /// Somebody else signed it.
    #[error("it was signed with another key")]
    AnotherKey,
    /// It was changed.
    #[error("the signature is not of this head")]
    Changed,
}

/// A key that signatures are checked with: 32 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadKey([u8; 32]);

/// A text that is no such key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a public key is 32 bytes in base64, as `bailiwick audit-log head` prints it")]
pub struct NotAHeadKey;

impl From<[u8; 32]> for HeadKey {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for HeadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl std::str::FromStr for HeadKey {
    type Err = NotAHeadKey;

    fn from_str(text: &str) -> Result<Self, NotAHeadKey> {
        let bytes = STANDARD.decode(text.trim()).map_err(|_| NotAHeadKey)?;
        Ok(Self(bytes.try_into().map_err(|_| NotAHeadKey)?))
    }
}

impl SignedHead {
    /// Goes on only if it was signed with this key. The key must come from elsewhere: the one in the head is whose who made it.
    ///
    /// # Errors
    ///
    /// [`NotSigned`].
    pub fn check(&self, key: &HeadKey) -> Result<(), NotSigned> {
        if self.public_key != key.to_string() {
            return Err(NotSigned::AnotherKey);
        }
        let signature = STANDARD.decode(&self.signature);
        let signature = signature.map_err(|_| NotSigned::Changed)?;
        let hash = parse_hash(&self.hash).ok_or(NotSigned::Changed)?;
        let message = message(&self.organization_id, self.entries, &hash, self.at);
        UnparsedPublicKey::new(&ED25519, key.0)
            .verify(message.as_bytes(), &signature)
            .map_err(|_| NotSigned::Changed)
    }
}

fn message(organization: &OrganizationId, entries: i64, hash: &AuditHash, at: Timestamp) -> String {
    let (hash, at) = (hash_text(hash), at.as_microsecond());
    format!("{FORM}\n{organization}\n{entries}\n{hash}\n{at}\n")
}

impl Control {
    /// The head of the organization's audit log as the database has it, signed with a key that is derived from the current one of those
    /// that secrets are sealed with.
    ///
    /// # Errors
    ///
    /// What every use case may answer.
    pub async fn signed_head(&self, caller: &Caller) -> Result<SignedHead, ControlError> {
        caller.require(Permission::AuditRead)?;
        let scope = self.store.scope(&caller.organization);
        let head = scope.audit_head().await?;
        let at = clock::now();
        let message = message(&caller.organization, head.sequence, &head.hash, at);
        let (key, signature) = self.sealing.sign(message.as_bytes());
        Ok(SignedHead {
            organization_id: caller.organization.clone(),
            entries: head.sequence,
            hash: hash_text(&head.hash),
            at,
            algorithm: Algorithm::Ed25519,
            public_key: key.to_string(),
            signature: STANDARD.encode(signature),
        })
    }
}
