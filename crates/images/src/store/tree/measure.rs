//! What a tree takes.
//!
//! One directory is open at a time. The way back up is `..`, which must be the directory that was left.

use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::io;
use std::path::Path;

use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{Access, AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::{LOOK, grant, names, open_directory, open_root};

/// `st_blocks` counts these, whatever the file system's blocks are (stat(2)).
const BLOCK_BYTES: u64 = 512;

/// Setuid and setgid (inode(7)).
const SETUID: u32 = 0o6000;

/// What a tree takes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Measure {
    /// On disk; a file with two names counts once.
    pub(crate) bytes: u64,
    /// Names that are not directories.
    pub(crate) files: u64,
    /// All names, those of directories too.
    pub(crate) entries: u64,
    /// Directories that could not be opened.
    pub(crate) unread: u64,
}

/// A directory on the way from the tree's root to the open one.
struct Level {
    identity: (u64, u64),
    /// The permissions that it had, where they had to be widened to look into it.
    restore: Option<Mode>,
    unseen: Vec<CString>,
}

/// Measures the tree, and takes setuid and setgid bits from its files, which have no effect in any sandbox and none on this host. Directories that their owner could not look into are opened for the time, and then as they were.
pub(crate) fn measure(tree: &Path) -> io::Result<Measure> {
    let mut walk = Walk::default();
    let root = open_root(tree)?;
    walk.measure.bytes = size(&rustix::fs::fstat(&root)?);
    let restore = match may_look(&root) {
        Err(Errno::ACCESS) => {
            let before = Mode::from_raw_mode(rustix::fs::fstat(&root)?.st_mode);
            rustix::fs::fchmod(&root, before | LOOK)?;
            Some(before)
        }
        other => other.map(|()| None)?,
    };
    walk.run(root, restore)?;
    Ok(walk.measure)
}

#[derive(Default)]
struct Walk {
    measure: Measure,
    /// Files with more than one name.
    seen: HashSet<(u64, u64)>,
}

impl Walk {
    fn run(&mut self, root: OwnedFd, restore: Option<Mode>) -> Result<(), Errno> {
        let mut current = root;
        let mut levels = vec![self.look(&current, restore)?];
        while let Some(level) = levels.last_mut() {
            if let Some(name) = level.unseen.pop() {
                if let Some((directory, restore)) = self.enter(&current, &name)? {
                    levels.push(self.look(&directory, restore)?);
                    current = directory;
                }
                continue;
            }
            // Before its permissions are as they were: `..` needs them.
            let up = levels
                .len()
                .checked_sub(2)
                .map(|above| leave(&current, levels[above].identity))
                .transpose()?;
            if let Some(mode) = levels.pop().and_then(|level| level.restore) {
                rustix::fs::fchmod(&current, mode)?;
            }
            if let Some(up) = up {
                current = up;
            }
        }
        Ok(())
    }

    /// Counts what is in a directory, and tells the directories among it.
    fn look(&mut self, directory: &OwnedFd, restore: Option<Mode>) -> Result<Level, Errno> {
        let mut unseen = Vec::new();
        for name in names(directory)? {
            let stat = rustix::fs::statat(directory, &name, AtFlags::SYMLINK_NOFOLLOW)?;
            self.measure.entries += 1;
            let is_directory = FileType::from_raw_mode(stat.st_mode).is_dir();
            if is_directory || stat.st_nlink < 2 || self.seen.insert(identity(&stat)) {
                self.measure.bytes += size(&stat);
            }
            if is_directory {
                unseen.push(name);
                continue;
            }
            self.measure.files += 1;
            if FileType::from_raw_mode(stat.st_mode).is_file() && stat.st_mode & SETUID != 0 {
                take_setuid(directory, &name)?;
            }
        }
        let identity = identity(&rustix::fs::fstat(directory)?);
        Ok(Level {
            identity,
            restore,
            unseen,
        })
    }

    /// Opens a directory so that it can be looked into; `None` if it belongs to somebody who does not let us.
    fn enter(
        &mut self,
        parent: &OwnedFd,
        name: &CStr,
    ) -> Result<Option<(OwnedFd, Option<Mode>)>, Errno> {
        let look = || {
            let directory = open_directory(parent, name, OFlags::RDONLY)?;
            may_look(&directory).map(|()| directory)
        };
        match look() {
            Err(Errno::ACCESS) => {}
            other => return other.map(|directory| Some((directory, None))),
        }
        let before = grant(parent, name, LOOK);
        match before.and_then(|before| Ok((look()?, Some(before)))) {
            Err(Errno::PERM | Errno::ACCESS) => {
                self.measure.unread += 1;
                Ok(None)
            }
            other => other.map(Some),
        }
    }
}

/// Takes the bits from a file, whose owner we are unless it is somebody's who has ids of ours.
fn take_setuid(directory: &OwnedFd, name: &CStr) -> Result<(), Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS;
    let file = rustix::fs::openat2(directory, name, flags, Mode::empty(), resolve)?;
    let mode = rustix::fs::fstat(&file)?.st_mode & 0o7777 & !SETUID;
    // As for directories: the link in /proc leads to exactly what was opened.
    let link = format!("/proc/self/fd/{}", file.as_raw_fd());
    match rustix::fs::chmod(link, Mode::from_raw_mode(mode)) {
        // A subordinate id's; it has the rights of that alone, behind directories that nobody else may enter.
        Err(Errno::PERM) => Ok(()),
        other => other,
    }
}

/// The directory above, if it is still the one that it was.
fn leave(directory: &OwnedFd, above: (u64, u64)) -> Result<OwnedFd, Errno> {
    let up = open_directory(directory, c"..", OFlags::RDONLY)?;
    let is_the_same = identity(&rustix::fs::fstat(&up)?) == above;
    // Something still moves directories about in there: this is no tree to keep.
    if is_the_same {
        Ok(up)
    } else {
        Err(Errno::STALE)
    }
}

/// Fails where we may not list it, or not look at what is in it.
fn may_look(directory: &OwnedFd) -> Result<(), Errno> {
    let access = Access::READ_OK | Access::EXEC_OK;
    rustix::fs::accessat(directory, c".", access, AtFlags::EACCESS)
}

fn size(stat: &Stat) -> u64 {
    u64::try_from(stat.st_blocks).unwrap_or(0) * BLOCK_BYTES
}

fn identity(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}
