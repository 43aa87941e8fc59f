//! Files of a root file system that somebody else filled: found below it without ever leaving it.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// Opens a regular file below a root, whose links lead nowhere else (openat2(2), `RESOLVE_IN_ROOT`); `None` if there is none.
///
/// # Errors
///
/// It is there and cannot be opened.
pub(crate) fn open(root: &Path, path: &str) -> io::Result<Option<File>> {
    let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    // A fifo would be waited for.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let opened = rustix::fs::openat(CWD, root, directory, Mode::empty())
        .and_then(|root| rustix::fs::openat2(root, path, flags, Mode::empty(), resolve));
    let file = match opened {
        Ok(file) => File::from(file),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    };
    Ok(file.metadata()?.is_file().then_some(file))
}
