//! The system call filter: three lists, compiled to one filter by the build script from the commented files in `data/seccomp`.

use rustix::io::Errno;

use crate::sys;

include!(concat!(env!("OUT_DIR"), "/seccomp.rs"));

/// Puts the calling thread, and all that it starts, under the filter. `no_new_privs` must be set before.
///
/// # Errors
///
/// EINVAL where the kernel lacks seccomp filters.
pub(crate) fn apply() -> Result<(), Errno> {
    sys::load_seccomp_filter(FILTER)
}

/// The number of BPF instructions, for `--dry-run`.
pub fn instructions() -> usize {
    FILTER.len()
}
