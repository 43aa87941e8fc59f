//! Ids and secrets that nobody can guess.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use bailiwick_model::{RequestId, ResourceId};
use jiff::Timestamp;

use crate::clock;

const DIGITS: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
/// 48 digits have more than 256 bits also where some digits are a little more likely than others.
const SECRET_DIGITS: usize = 48;
/// How much of a key is kept for people to recognise it.
const SHOWN: usize = 10;

/// A key, before it is forgotten.
pub(crate) struct Secret {
    /// The key itself.
    pub(crate) text: String,
    /// Its first characters.
    pub(crate) shown: String,
    /// What is stored of it.
    pub(crate) hash: [u8; 32],
}

/// Bytes that nobody can guess.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("the kernel gives random bytes");
    bytes
}

/// A new id.
pub(crate) fn id<I: ResourceId>(at: Timestamp) -> I {
    I::made(u64::try_from(at.as_millisecond()).unwrap_or(0), random())
}

/// A name for a request.
pub fn fresh_request_id() -> RequestId {
    id(clock::now())
}

/// A new key with this prefix.
pub(crate) fn secret(prefix: &str) -> Secret {
    let digits = random::<SECRET_DIGITS>().map(|byte| char::from(DIGITS[usize::from(byte) % 58]));
    Secret::of(prefix.chars().chain(digits).collect())
}

impl Secret {
    /// A key that somebody chose.
    pub(crate) fn of(text: String) -> Self {
        let shown = text.chars().take(SHOWN).collect();
        Self {
            hash: hash(&text),
            shown,
            text,
        }
    }
}

/// SHA-256 of a key.
pub(crate) fn hash(key: &str) -> [u8; 32] {
    hash_of(key.as_bytes())
}

/// SHA-256.
pub(crate) fn hash_of(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

/// A hash, for people.
pub(crate) fn hex(hash: &[u8; 32]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
