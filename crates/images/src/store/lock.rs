//! The files of `keys`: one for each key, locked with flock(2), whose time of change is when the layer was last used.
//!
//! A lock file is removed only by whoever holds it exclusively. Who gets a lock on one that was removed meanwhile sees that it has no
//! name any more, and starts over.

use std::fs::File;
use std::path::Path;

use rustix::fs::{CWD, FlockOperation, Mode, OFlags, Timespec, Timestamps, UTIME_NOW};
use rustix::io::Errno;

use super::error::{StoreError, io_error};

/// How a lock is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// By a build, and to remove.
    Exclusive,
    /// By whoever uses the layer.
    Shared,
}

/// Takes the lock, making its file if there is none; `None` if somebody else holds it.
pub(crate) fn take(path: &Path, kind: Kind) -> Result<Option<File>, StoreError> {
    let operation = match kind {
        Kind::Exclusive => FlockOperation::NonBlockingLockExclusive,
        Kind::Shared => FlockOperation::NonBlockingLockShared,
    };
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    loop {
        let file = rustix::fs::openat(CWD, path, flags, Mode::RUSR | Mode::WUSR)
            .map_err(io_error("open", path))?;
        match rustix::fs::flock(&file, operation) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(errno) => return Err(io_error("lock", path)(errno)),
        }
        let stat = rustix::fs::fstat(&file).map_err(io_error("read", path))?;
        if stat.st_nlink > 0 {
            return Ok(Some(File::from(file)));
        }
    }
}

/// Notes that the layer is used now.
pub(crate) fn touch(lock: &File, path: &Path) -> Result<(), StoreError> {
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_NOW,
    };
    let times = Timestamps {
        last_access: now,
        last_modification: now,
    };
    rustix::fs::futimens(lock, &times).map_err(io_error("touch", path))
}
