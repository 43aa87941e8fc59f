//! The system call filter: three lists, compiled to one filter by the build script from the commented files in `data/seccomp`.

use rustix::io::Errno;

use crate::sys;

include!(concat!(env!("OUT_DIR"), "/seccomp.rs"));

/// What becomes of setuid and setgid bits that somebody inside sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SetuidBits {
    /// They are refused.
    Refused,
    /// They are set. They have no effect inside (`nosuid`, `no_new_privs`).
    Set,
}

/// Puts the calling thread, and all that it starts, under the filter. `no_new_privs` must be set before.
///
/// # Errors
///
/// EINVAL where the kernel lacks seccomp filters.
pub(crate) fn apply(bits: SetuidBits) -> Result<(), Errno> {
    sys::load_seccomp_filter(filter(bits))
}

fn filter(bits: SetuidBits) -> &'static [libc::sock_filter] {
    match bits {
        SetuidBits::Refused => FILTER,
        SetuidBits::Set => FILTER_OF_DRAFTS,
    }
}

/// The number of BPF instructions, for `--dry-run`.
pub(crate) fn instructions(bits: SetuidBits) -> usize {
    filter(bits).len()
}
