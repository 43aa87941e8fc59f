//! A second user namespace inside the first, so that the kernel counts all processes of a sandbox together.
//!
//! RLIMIT_NPROC counts the processes of one user id, and root inside can become others. But what a user had as the limit when it made a user
//! namespace bounds all processes in it, whoever they belong to (since Linux 5.14; getrlimit(2), user_namespaces(7)). The user that makes the
//! second namespace is root of the first, whom nothing outside of this sandbox counts for.

use std::io::{Read, Write};

use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::process::{DumpableBehavior, Pid, WaitOptions};
use rustix::thread::UnshareFlags;

use crate::idmap;
use crate::plan::{IdMap, Identity, MapWriter};
use crate::sys;

/// Moves the calling process, an init that is root of the first namespace and has its limits, into a second one with the same ids.
///
/// It has no right to anything that belongs to the first namespace afterwards, such as mounts and network.
///
/// # Errors
///
/// Whatever the kernel says; the caller must not go on.
pub(super) fn enter(identity: &Identity) -> Result<(), Errno> {
    let same = |maps: &[IdMap]| -> Vec<_> {
        let same = |map: &IdMap| IdMap {
            outside: map.inside,
            ..*map
        };
        maps.iter().map(same).collect()
    };
    let (uids, gids) = (same(&identity.uid_map), same(&identity.gid_map));
    // What became root of the first namespace is not dumpable, and its maps would belong to the host's root. Nothing else runs here yet.
    rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable)?;
    let (told, tell) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    // SAFETY: an init has one thread.
    match unsafe { sys::fork() }? {
        // Only a process of the first namespace may map more than one id.
        None => {
            drop(tell);
            let begun = std::fs::File::from(told).read_exact(&mut [0]);
            let written =
                begun.is_ok() && idmap::write(Pid::INIT, MapWriter::Root, &uids, &gids).is_ok();
            sys::exit_now(i32::from(!written))
        }
        Some(writer) => {
            // SAFETY: no descriptors are shared or unshared by it.
            unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWUSER) }?;
            std::fs::File::from(tell)
                .write_all(&[0])
                .map_err(|_| Errno::PIPE)?;
            let ended = rustix::process::waitpid(Some(writer), WaitOptions::empty())?;
            match ended {
                Some((_, status)) if status.exit_status() == Some(0) => Ok(()),
                _ => Err(Errno::PERM),
            }
        }
    }
}

/// Whether this kernel bounds what is in a user namespace by the limit of who made it: it does since 5.14.
pub(crate) fn kernel_can() -> bool {
    let system = rustix::system::uname();
    version(&system.release().to_string_lossy()).is_some_and(|version| version >= (5, 14))
}

/// The first two numbers of a release such as `6.1.0-18-amd64`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(version("5.9.0-rc1"), Some((5, 9)));
        assert_eq!(version("5.14-custom"), Some((5, 14)));
        assert!(version("5.9") < version("5.14"));
        assert_eq!(version("unknown"), None);
        assert!(kernel_can(), "the tests need such a kernel");
    }
}
