//! Removing a tree.
//!
//! Depth first would need the way back up. Instead the subdirectories of a subdirectory are moved to the top, under fresh names, until
//! the top is empty: every directory is at most one step from it when its turn comes. Whatever is left when this is interrupted is a
//! smaller tree, which the next one removes in the same way.

use std::ffi::{CStr, CString};
use std::io;
use std::path::Path;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;

use super::{grant, names, open_directory, open_root};

/// Removes a directory and everything in it, or a file or link; nothing that a link or a mount in it leads to is touched.
///
/// Permissions on directories do not stop their owner. Nothing there is no error, so two may remove one tree.
///
/// # Errors
///
/// The first thing that could not be removed, after everything else was.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    match rustix::fs::unlinkat(CWD, path, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(errno) => return Err(errno.into()),
    }
    let root = match open_root(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    let mut removal = Removal::new(root)?;
    removal.run()?;
    match rustix::fs::unlinkat(CWD, path, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

struct Removal {
    root: OwnedFd,
    /// In front of the names of what was moved up; nobody else has it, so nothing in the tree is in the way.
    prefix: String,
    moved: u64,
    /// How much was removed or moved up.
    progress: u64,
    first_error: Option<Errno>,
}

impl Removal {
    fn new(root: OwnedFd) -> io::Result<Self> {
        let prefix = super::super::random_name()?;
        Ok(Self {
            root,
            prefix,
            moved: 0,
            progress: 0,
            first_error: None,
        })
    }

    /// Goes over the top until it is empty, or nothing more can be done.
    fn run(&mut self) -> Result<(), Errno> {
        make_ours(&self.root);
        loop {
            let top = names(&self.root)?;
            if top.is_empty() {
                return Ok(());
            }
            self.progress = 0;
            self.first_error = None;
            for name in &top {
                if let Err(errno) = self.dissolve(name) {
                    self.first_error.get_or_insert(errno);
                }
            }
            if self.progress == 0 {
                return Err(self.first_error.unwrap_or(Errno::NOTEMPTY));
            }
        }
    }

    /// Removes something at the top; the directories in it are moved up beside it.
    fn dissolve(&mut self, name: &CStr) -> Result<(), Errno> {
        if self.remove_one(None, name)? {
            return Ok(());
        }
        let directory = match open_directory(&self.root, name, OFlags::RDONLY) {
            Err(Errno::ACCESS) => {
                grant(&self.root, name, Mode::RWXU)?;
                open_directory(&self.root, name, OFlags::RDONLY)?
            }
            Err(Errno::NOENT) => return Ok(()),
            other => other?,
        };
        make_ours(&directory);
        for inner in names(&directory)? {
            let outcome = match self.remove_one(Some(&directory), &inner) {
                Ok(true) => Ok(()),
                Ok(false) => self.move_up(&directory, &inner),
                Err(errno) => Err(errno),
            };
            if let Err(errno) = outcome {
                self.first_error.get_or_insert(errno);
            }
        }
        match rustix::fs::unlinkat(&self.root, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => {
                self.progress += 1;
                Ok(())
            }
            Err(errno) => Err(errno),
        }
    }

    /// Removes what is not a directory, or is an empty one; `false` if it is a directory with something in it.
    fn remove_one(&mut self, parent: Option<&OwnedFd>, name: &CStr) -> Result<bool, Errno> {
        let parent = parent.unwrap_or(&self.root);
        let removed = match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
            Err(Errno::ISDIR) => rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR),
            other => other,
        };
        match removed {
            Ok(()) | Err(Errno::NOENT) => {
                self.progress += 1;
                Ok(true)
            }
            Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    fn move_up(&mut self, directory: &OwnedFd, name: &CStr) -> Result<(), Errno> {
        self.moved += 1;
        let fresh = CString::new(format!("{}-{}", self.prefix, self.moved)).expect("no zero byte");
        let go = || rustix::fs::renameat(directory, name, &self.root, &fresh);
        let moved = match go() {
            // Its `..` changes, so it must be writable itself.
            Err(Errno::ACCESS) => grant(directory, name, Mode::RWXU).and_then(|_| go()),
            other => other,
        };
        match moved {
            Ok(()) | Err(Errno::NOENT) => {
                self.progress += 1;
                Ok(())
            }
            Err(errno) => Err(errno),
        }
    }
}

/// Gives the owner every permission. Where that is refused the next step says so.
fn make_ours(directory: impl AsFd) {
    let mode = rustix::fs::fstat(&directory).map(|stat| Mode::from_raw_mode(stat.st_mode));
    if mode.is_ok_and(|mode| !mode.contains(Mode::RWXU)) {
        let _ = rustix::fs::fchmod(&directory, Mode::RWXU);
    }
}
