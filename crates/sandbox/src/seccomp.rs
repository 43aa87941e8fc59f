//! The system call filter: three lists, compiled by the build script from the commented files in `data/seccomp`.

use rustix::io::Errno;

use crate::sys;

include!(concat!(env!("OUT_DIR"), "/seccomp.rs"));

/// Puts the calling thread, and all that it starts, under the filter. `no_new_privs` must be set before.
///
/// The kernel runs every filter and takes the strictest answer; among errors, the one of the filter that was loaded last
/// (seccomp(2)). So the list of what is allowed, whose answer to everything else is ENOSYS, is loaded first.
///
/// # Errors
///
/// EINVAL where the kernel lacks seccomp filters.
pub(crate) fn apply() -> Result<(), Errno> {
    for filter in [ALLOW, EAFNOSUPPORT, EPERM] {
        sys::load_seccomp_filter(filter)?;
    }
    Ok(())
}

/// The number of BPF instructions in all three lists, for `--dry-run`.
pub fn instructions() -> usize {
    [ALLOW, EAFNOSUPPORT, EPERM]
        .iter()
        .map(|filter| filter.len())
        .sum()
}
