//! Directories, files and mount points of the root that is being built.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::{MountError, Root, attach, error, is_directory, name};

/// The directory of the last step: steps come in groups that share one.
#[derive(Default)]
pub(super) struct LastParent(Option<(PathBuf, Rc<OwnedFd>)>);

impl LastParent {
    fn get(&self, path: &Path) -> Option<Rc<OwnedFd>> {
        self.0
            .as_ref()
            .filter(|(kept, _)| kept == path)
            .map(|(_, fd)| fd.clone())
    }

    /// A mount hides what was below its mount point.
    pub(super) fn forget_below(&mut self, path: &Path) {
        if self
            .0
            .as_ref()
            .is_some_and(|(kept, _)| kept.starts_with(path))
        {
            self.0 = None;
        }
    }
}

impl Root<'_> {
    /// Resolves a path below the root, through no symbolic link.
    pub(super) fn resolve(&self, path: &Path) -> Result<OwnedFd, MountError> {
        let resolve =
            ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        rustix::fs::openat2(&self.directory, path, flags, Mode::empty(), resolve)
            .map_err(|errno| error("openat2", path, errno))
    }

    /// The directory that `path` lies in; what is missing of it is made.
    pub(super) fn parent(&self, path: &Path) -> Result<Rc<OwnedFd>, MountError> {
        let Some(parent) = path.parent() else {
            return Err(error("open", path, Errno::INVAL));
        };
        if let Some(kept) = self.last_parent.borrow().get(parent) {
            return Ok(kept);
        }
        let opened = Rc::new(self.directories(parent)?);
        self.last_parent.borrow_mut().0 = Some((parent.to_owned(), opened.clone()));
        Ok(opened)
    }

    fn directories(&self, path: &Path) -> Result<OwnedFd, MountError> {
        match self.resolve(path) {
            Err(MountError {
                errno: Errno::NOENT,
                ..
            }) => {}
            other => return other,
        }
        let parent = self.parent(path)?;
        let mode = Mode::from_raw_mode(0o755);
        rustix::fs::mkdirat(&*parent, name(path), mode)
            .map_err(|errno| error("mkdir", path, errno))?;
        self.resolve(path)
    }

    pub(super) fn make_directory(
        &self,
        path: &Path,
        mode: u32,
        owned: bool,
    ) -> Result<(), MountError> {
        let failed = |call| move |errno| error(call, path, errno);
        let parent = self.parent(path)?;
        let (name, mode) = (name(path), Mode::from_raw_mode(mode));
        match rustix::fs::mkdirat(&*parent, name, mode) {
            // Made on the way to something below it.
            Err(Errno::EXIST) => {
                rustix::fs::chmodat(&*parent, name, mode, AtFlags::empty())
                    .map_err(failed("chmod"))?;
            }
            other => other.map_err(failed("mkdir"))?,
        }
        match self.owner.filter(|_| owned) {
            Some((uid, gid)) => rustix::fs::chownat(
                &*parent,
                name,
                Some(uid),
                Some(gid),
                AtFlags::SYMLINK_NOFOLLOW,
            )
            .map_err(failed("chown")),
            None => Ok(()),
        }
    }

    pub(super) fn make_file(
        &self,
        path: &Path,
        mode: u32,
        content: &[u8],
    ) -> Result<(), MountError> {
        let parent = self.parent(path)?;
        let flags =
            OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&*parent, name(path), flags, Mode::from_raw_mode(mode))
            .map_err(|errno| error("open", path, errno))?;
        let mut rest = content;
        while !rest.is_empty() {
            let written =
                rustix::io::write(&file, rest).map_err(|errno| error("write", path, errno))?;
            rest = &rest[written..];
        }
        Ok(())
    }

    /// Mounts on `path`, which is made, as a directory or a file after the tree's root, if it is not there.
    pub(super) fn mount(&self, tree: &OwnedFd, path: &Path) -> Result<(), MountError> {
        let failed = |call| move |errno| error(call, path, errno);
        let parent = self.parent(path)?;
        let mode = Mode::from_raw_mode(0o755);
        let made = if is_directory(tree).map_err(failed("stat"))? {
            rustix::fs::mkdirat(&*parent, name(path), mode)
        } else {
            rustix::fs::mknodat(&*parent, name(path), FileType::RegularFile, mode, 0)
        };
        match made {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(error("make the mount point", path, errno)),
        }
        // The last component is not followed if it is a link: MOVE_MOUNT_T_SYMLINKS is not given (move_mount(2)).
        attach(tree, &*parent, name(path)).map_err(failed("move_mount"))?;
        self.last_parent.borrow_mut().forget_below(path);
        Ok(())
    }
}
