//! SHA-256 as text.

use aws_lc_rs::digest::{SHA256, digest};

/// Of bytes, as 64 digits.
pub(crate) fn of(bytes: &[u8]) -> String {
    digits(digest(&SHA256, bytes).as_ref())
}

/// Bytes, two hexadecimal digits each.
pub(crate) fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
