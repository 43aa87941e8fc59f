//! The system call filter: lists, compiled to one filter by the build script from the commented files in `data/seccomp`.

use rustix::io::Errno;

use crate::sys;

include!(concat!(env!("OUT_DIR"), "/seccomp.rs"));

/// Puts the calling thread, and all that it starts, under the filter; with `set_id` files may get set-user-ID and set-group-ID bits.
/// `no_new_privs` must be set before.
///
/// # Errors
///
/// EINVAL where the kernel lacks seccomp filters.
pub(crate) fn apply(set_id: bool) -> Result<(), Errno> {
    sys::load_seccomp_filter(filter(set_id))
}

fn filter(set_id: bool) -> &'static [libc::sock_filter] {
    if set_id { BUILD_FILTER } else { FILTER }
}

/// The number of BPF instructions, for `--dry-run`.
pub fn instructions(set_id: bool) -> usize {
    filter(set_id).len()
}
