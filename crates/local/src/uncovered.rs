//! Watches, from outside, the names in a work directory that are covered inside.
//!
//! A cover is a mount on what exists. When this host replaces or removes that (`git config` and editors write a new file and rename it
//! over the old one), the kernel takes the mount away (`detach_mounts` in fs/namespace.c), and the new file can be written to inside.
//! Nothing inside can do so itself: a mount point can neither be renamed nor removed in its own namespace.

use std::collections::{BTreeSet, HashMap};
use std::ffi::{CStr, OsStr};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bailiwick_sandbox::readiness::register;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// What takes a mount point away or puts something in its place.
const REPLACED: WatchFlags = WatchFlags::MOVED_FROM
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::ONLYDIR);

/// The watch over one work directory.
#[derive(Debug)]
pub(crate) struct Watch {
    events: OwnedFd,
    /// By watch descriptor: the directory, and the names in it that are covered.
    directories: HashMap<i32, (PathBuf, Vec<PathBuf>)>,
}

impl Watch {
    /// Watches every path, each below `work_directory`. To be made before the covers are, so that no gap is left.
    ///
    /// # Errors
    ///
    /// inotify(7) has no watch left for this user (`fs.inotify.max_user_watches`).
    pub(crate) fn over(work_directory: &Path, covered: &[PathBuf]) -> io::Result<Self> {
        let events = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let mut directories: HashMap<i32, (PathBuf, Vec<PathBuf>)> = HashMap::new();
        let parents: BTreeSet<&Path> = covered.iter().filter_map(|path| path.parent()).collect();
        for parent in parents
            .into_iter()
            .filter(|parent| parent.starts_with(work_directory))
        {
            let names = covered
                .iter()
                .filter(|path| path.parent() == Some(parent))
                .cloned()
                .collect();
            match inotify::add_watch(&events, parent, REPLACED) {
                Ok(number) => drop(directories.insert(number, (parent.to_owned(), names))),
                // There is nothing to cover either.
                Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(Self {
            events,
            directories,
        })
    }

    /// Waits until something covered is replaced. Must be called inside a tokio runtime.
    pub(crate) async fn replaced(self) -> io::Result<PathBuf> {
        let events = register(self.events, Interest::READABLE)?;
        loop {
            let mut ready = events.readable().await?;
            match first(&events, &self.directories) {
                Ok(Some(path)) => return Ok(path),
                Ok(None) => ready.clear_ready(),
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

/// Reads all events that are there; the first that is about a covered name.
fn first(
    events: &AsyncFd<OwnedFd>,
    directories: &HashMap<i32, (PathBuf, Vec<PathBuf>)>,
) -> Result<Option<PathBuf>, Errno> {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut reader = inotify::Reader::new(events.get_ref(), &mut buffer);
    loop {
        let event = match reader.next() {
            Ok(event) => event,
            Err(Errno::AGAIN) => return Ok(None),
            Err(errno) => return Err(errno),
        };
        // Events were lost: one of them may have been it.
        if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
            return Ok(directories
                .values()
                .next()
                .map(|(directory, _)| directory.clone()));
        }
        let Some((directory, covered)) = directories.get(&event.wd()) else {
            continue;
        };
        let name = event.file_name().map(CStr::to_bytes).unwrap_or_default();
        let path = directory.join(OsStr::from_bytes(name));
        if covered.contains(&path) {
            return Ok(Some(path));
        }
    }
}
