//! Work on files of one's own subordinate ids, which no other process of the user may touch.

use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;

use rustix::process::WaitOptions;
use rustix::thread::{Gid, Uid};

use crate::idmap;
use crate::plan::Identity;
use crate::sys::{self, Cloned};

/// Does `work` in a process that is root of a user namespace with these ids, and waits for its end.
///
/// # Errors
///
/// What `work` says, by its errno; that the process has more than one thread, so that it cannot be copied; that the namespace could not be
/// made.
pub fn with_ids(identity: &Identity, work: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    if sys::thread_count()? != 1 {
        return Err(io::ErrorKind::ResourceBusy.into());
    }
    let (told, tell) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    // SAFETY: the process has one thread, as was just counted.
    match unsafe { sys::clone3(libc::CLONE_NEWUSER, None) }? {
        Cloned::Child => {
            drop(tell);
            // It holds no lock of its parent's longer than that does.
            sys::close_all_except(&[told.as_raw_fd()]);
            let done = std::fs::File::from(told)
                .read_exact(&mut [0])
                .and_then(|()| become_root())
                .and_then(|()| work());
            let code = done.map_or_else(|error| error.raw_os_error().unwrap_or(libc::EIO), |()| 0);
            sys::exit_now(code)
        }
        Cloned::Parent { child, .. } => {
            drop(told);
            let mapped = idmap::write(child, identity.writer, &identity.uid_map, &identity.gid_map);
            if mapped.is_ok() {
                // If it is gone, its end says so.
                let _ = std::fs::File::from(tell).write_all(&[0]);
            } else {
                drop(tell);
            }
            let ended = rustix::process::waitpid(Some(child), WaitOptions::empty())?;
            mapped.map_err(io::Error::other)?;
            match ended.and_then(|(_, status)| status.exit_status()) {
                Some(0) => Ok(()),
                Some(errno) => Err(io::Error::from_raw_os_error(errno)),
                None => Err(io::ErrorKind::Interrupted.into()),
            }
        }
    }
}

fn become_root() -> io::Result<()> {
    let (uid, gid) = (Uid::ROOT, Gid::ROOT);
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    Ok(())
}
