//! Trees that somebody else filled: removed and measured without ever leaving them.
//!
//! What a build left may hold anything that its user could make: symbolic links to anywhere, directories without permissions, ten
//! thousand of them inside one another, names that are not text. So nothing here uses a path below the tree: every step is one name
//! relative to an open directory, links and mounts are never crossed (openat2(2), `RESOLVE_NO_XDEV`), the depth is not on the stack,
//! and no more than three directories are open at a time.

use std::ffi::{CStr, CString};
use std::io;
use std::path::Path;

use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::fs::{CWD, Dir, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

mod measure;
mod remove;

pub(crate) use measure::{Measure, measure};
pub use remove::remove_tree;

/// The permissions that an owner needs to list a directory and to look at what is in it.
const LOOK: Mode = Mode::RUSR.union(Mode::XUSR);

/// The tree's own directory, wherever the store is mounted.
fn open_root(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(CWD, path, flags, Mode::empty())?)
}

/// A directory in an open one, if it is one, and on the same mount.
fn open_directory(parent: impl AsFd, name: &CStr, how: OFlags) -> Result<OwnedFd, Errno> {
    let flags = how | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS;
    rustix::fs::openat2(parent, name, flags, Mode::empty(), resolve)
}

/// Adds permissions for the owner to a directory that may not be opened; returns those that it had.
fn grant(parent: impl AsFd, name: &CStr, permissions: Mode) -> Result<Mode, Errno> {
    let directory = open_directory(parent, name, OFlags::PATH)?;
    let before = Mode::from_raw_mode(rustix::fs::fstat(&directory)?.st_mode);
    // A descriptor of this kind cannot be changed; the link to it in /proc leads to exactly what was opened.
    let link = format!("/proc/self/fd/{}", directory.as_raw_fd());
    rustix::fs::chmod(link, before | permissions)?;
    Ok(before)
}

/// The names in a directory.
fn names(directory: impl AsFd) -> Result<Vec<CString>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_owned());
        }
    }
    Ok(names)
}
