//! Directories that their owner has made unreadable, opened all the same: by the owner, who may change that for a while.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags, Stat};
use rustix::io::Errno;

/// A directory that can be looked into. Dropping it leaves it as it was.
pub(super) struct Unlocked {
    directory: OwnedFd,
    locked: Option<Mode>,
}

impl Unlocked {
    /// One that is open already, and readable.
    pub(super) fn open_already(directory: OwnedFd) -> Self {
        Self {
            directory,
            locked: None,
        }
    }

    /// Opens an entry of a directory, which is no link.
    pub(super) fn open(above: impl AsFd + Copy, name: &[u8]) -> Result<Self, Errno> {
        let stat = rustix::fs::statat(above, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let needed = Mode::RUSR | Mode::XUSR;
        let mode = Mode::from_raw_mode(stat.st_mode & 0o1777);
        let is_own = stat.st_uid == rustix::process::geteuid().as_raw();
        let locked = (is_own && !mode.contains(needed)).then_some(mode);
        if locked.is_some() {
            // A link that somebody put there meanwhile leads to something of the sandbox's own.
            rustix::fs::chmodat(above, name, mode | needed, AtFlags::empty())?;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(above, name, flags, Mode::empty());
        if let (Err(_), Some(mode)) = (&opened, locked) {
            rustix::fs::chmodat(above, name, mode, AtFlags::empty())?;
        }
        Ok(Self {
            directory: opened?,
            locked,
        })
    }

    pub(super) fn directory(&self) -> &OwnedFd {
        &self.directory
    }

    /// Whether it is what was looked at.
    pub(super) fn is(&self, looked: &Stat) -> Result<bool, Errno> {
        let stat = rustix::fs::fstat(&self.directory)?;
        Ok((stat.st_dev, stat.st_ino) == (looked.st_dev, looked.st_ino))
    }
}

impl Drop for Unlocked {
    fn drop(&mut self) {
        if let Some(mode) = self.locked {
            // Its owner can do so as well.
            let _ = rustix::fs::fchmod(&self.directory, mode);
        }
    }
}
