//! What a build writes, measured while it writes: a directory has no quota.
//!
//! Two looks hold it together. The *tree* is counted every so often, in pieces, and never changed: what cannot be looked into (a directory without
//! permissions, one too deep) is counted when the build has ended. What a tree does not show, such as files without a name, shows in the *free
//! space* of its file system, which costs nothing to ask for: a build is ended before that is used up, and with it goes what it hid.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::time::Duration;

use bailiwick_model::limits;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use tokio::time::{Instant, sleep};

use super::BuildLimit;
use crate::store::Measure;

/// `st_blocks` counts these, whatever the file system's blocks are (stat(2)).
const BLOCK_BYTES: u64 = 512;
/// Entries that are counted before other tasks go on.
const PIECE: u32 = 64;
/// Directories inside one another that are counted; each is a descriptor.
const DEPTH: usize = 128;
/// How often the free space is asked for.
const FREE_LOOK: Duration = Duration::from_millis(100);
/// Between two counts of the tree lies at least this many times what the last one took.
const IDLE_SHARE: u32 = 10;

/// What a tree takes, as far as it can be seen.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    bytes: u64,
    entries: u64,
}

impl Size {
    fn exceeded(self, disk_bytes: u64) -> Option<BuildLimit> {
        let disk = (self.bytes > disk_bytes).then_some(BuildLimit::Disk(disk_bytes));
        let files = limits::BUILD_FILES;
        disk.or((self.entries > files).then_some(BuildLimit::Files(files)))
    }
}

/// Watches a tree, if anything is kept, until it is over a limit, and says which. Ends only then.
pub(super) async fn exceeded(tree: Option<&Path>, disk_bytes: u64) -> BuildLimit {
    let Some(tree) = tree else {
        return std::future::pending().await;
    };
    let mut next = Instant::now() + limits::BUILD_DISK_LOOK;
    loop {
        sleep(FREE_LOOK).await;
        if is_all_but_full(tree) {
            return BuildLimit::FreeDisk;
        }
        let now = Instant::now();
        if now < next {
            continue;
        }
        if let Some(limit) = size(tree, disk_bytes).await.exceeded(disk_bytes) {
            return limit;
        }
        next = Instant::now() + limits::BUILD_DISK_LOOK.max(now.elapsed() * IDLE_SHARE);
    }
}

/// Which limit a tree is over in which nothing writes any more; everything in it is counted by now.
pub(super) fn over(measure: &Measure, disk_bytes: u64) -> Option<BuildLimit> {
    let size = Size {
        bytes: measure.bytes,
        entries: measure.entries,
    };
    size.exceeded(disk_bytes)
}

/// Whether the file system has hardly any room left. One that does not tell has.
fn is_all_but_full(tree: &Path) -> bool {
    rustix::fs::statvfs(tree).is_ok_and(|stat| {
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        let names = stat.f_files > 0 && stat.f_favail < limits::BUILD_FREE_FILES;
        free < limits::BUILD_FREE_BYTES || names
    })
}

/// Counts a tree that changes meanwhile, until it is over a limit: what has gone again is left out.
async fn size(tree: &Path, disk_bytes: u64) -> Size {
    let mut count = Count::default();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let root = rustix::fs::openat(CWD, tree, flags, Mode::empty());
    let mut open: Vec<Dir> = root.and_then(Dir::new).into_iter().collect();
    let mut piece = 0;
    while let Some(directory) = open.last_mut() {
        match count.next(directory) {
            Some(Some(below)) if open.len() < DEPTH => open.push(below),
            Some(_) => {}
            None => drop(open.pop()),
        }
        if count.size.exceeded(disk_bytes).is_some() {
            break;
        }
        piece = (piece + 1) % PIECE;
        if piece == 0 {
            tokio::task::yield_now().await;
        }
    }
    count.size
}

#[derive(Default)]
struct Count {
    size: Size,
    /// Files with more than one name.
    seen: HashSet<(u64, u64)>,
}

impl Count {
    /// Counts one entry of a directory; `None` at its end, else the directory that the entry is, if it can be opened.
    fn next(&mut self, directory: &mut Dir) -> Option<Option<Dir>> {
        let entry = directory.read()?.ok()?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            return Some(None);
        }
        let Ok(stat) = look(directory, name) else {
            return Some(None);
        };
        let is_directory = FileType::from_raw_mode(stat.st_mode).is_dir();
        if is_directory || stat.st_nlink < 2 || self.seen.insert((stat.st_dev, stat.st_ino)) {
            self.size.bytes += u64::try_from(stat.st_blocks).unwrap_or(0) * BLOCK_BYTES;
        }
        self.size.entries += 1;
        let opened = is_directory.then(|| open(directory, name).ok()).flatten();
        Some(opened)
    }
}

fn look(directory: &Dir, name: &std::ffi::CStr) -> io::Result<Stat> {
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    Ok(rustix::fs::statat(directory.fd()?, name, flags)?)
}

/// A directory in an open one, on the same mount, through no link.
fn open(parent: &Dir, name: &std::ffi::CStr) -> io::Result<Dir> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS;
    let opened: OwnedFd =
        rustix::fs::openat2(parent.fd()?.as_fd(), name, flags, Mode::empty(), resolve)?;
    Ok(Dir::new(opened)?)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn count(tree: &Path, disk_bytes: u64) -> Size {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(size(tree, disk_bytes))
    }

    #[test]
    fn a_tree_is_counted_whole_and_nothing_beside_it() {
        let place = tempfile::tempdir().unwrap();
        let (tree, beside) = (place.path().join("tree"), place.path().join("beside"));
        for directory in [&tree, &beside] {
            fs::create_dir_all(directory.join("deep/er")).unwrap();
            fs::write(directory.join("deep/er/file"), vec![1; 1 << 20]).unwrap();
        }
        fs::hard_link(tree.join("deep/er/file"), tree.join("same")).unwrap();
        symlink(&beside, tree.join("link")).unwrap();
        let size = count(&tree, u64::MAX);
        assert!(
            (1 << 20..(1 << 20) + (64 << 10)).contains(&size.bytes),
            "{size:?}"
        );
        assert_eq!(size.entries, 5);
        assert_eq!(size.exceeded(2 << 20), None);
        assert_eq!(size.exceeded(1 << 19), Some(BuildLimit::Disk(1 << 19)));
        assert_eq!(count(&place.path().join("none"), 1), Size::default());
    }

    #[test]
    fn directories_count_as_files_do_while_a_build_writes_and_when_it_has_ended() {
        let place = tempfile::tempdir().unwrap();
        for number in 0..10 {
            fs::create_dir_all(place.path().join(format!("{number}/empty"))).unwrap();
        }
        let measure = crate::store::measure(place.path()).unwrap();
        assert_eq!((measure.entries, measure.files), (20, 0));
        assert_eq!(count(place.path(), u64::MAX).entries, measure.entries);
        assert_eq!(over(&measure, u64::MAX), None);
        let many = Measure {
            entries: limits::BUILD_FILES + 1,
            ..measure
        };
        assert_eq!(
            over(&many, u64::MAX),
            Some(BuildLimit::Files(limits::BUILD_FILES))
        );
    }

    #[test]
    fn a_tree_deeper_than_descriptors_last_is_counted_as_far_as_they_do() {
        let place = tempfile::tempdir().unwrap();
        let deep: std::path::PathBuf = std::iter::repeat_n("d", 2 * DEPTH).collect();
        fs::create_dir_all(place.path().join(deep)).unwrap();
        assert_eq!(count(place.path(), u64::MAX).entries, DEPTH as u64);
    }
}
