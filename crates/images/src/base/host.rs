//! Roots that are there anyway: this machine's own, and directories.
//!
//! ```text
//! STORE/bases/host.json        the digest of this machine's package database, and of which state of the file it is
//!             DIGITS.json      the same of a directory's, or of an archive
//!             DIGITS/          a snapshot of this machine: what it has besides programs
//!             DIGITS.new/      one that is being made, by whoever has its lock exclusively
//!             DIGITS.lock      locked (flock(2)), shared, by who uses the snapshot; changed when it was last used
//!             NAME.THREAD      a file that is being written, or that of a thread that died
//!             name-…           see [`super::Names`]
//! ```

use std::collections::BTreeSet;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick_model::limits::{IDENTIFYING_DATABASE_BYTES, SNAPSHOT_LOCK_WAIT, STATE_REMAINS};

use super::digest::remembered;
use crate::store::lock::{self, Kind};
use crate::store::{
    Store, StoreError, absent_is_none, entries, io_error, make_private, remove_tree, unlink,
};
use crate::{rooted, sha256};

/// Where distributions say what is installed: Debian, Alpine, Fedora, SUSE. The first that is there identifies the host's userland.
const PACKAGE_DATABASES: &[&str] = &[
    "var/lib/dpkg/status",
    "lib/apk/db/installed",
    "usr/lib/sysimage/rpm/rpmdb.sqlite",
    "var/lib/rpm/rpmdb.sqlite",
    "etc/os-release",
];
/// How long to wait before a lock that somebody has is tried again.
const PAUSE: Duration = Duration::from_millis(5);
/// Behind the digits of a snapshot, for its lock.
const LOCK: &str = "lock";
/// Behind the digits of a snapshot that is being made.
const NEW: &str = "new";

/// The userland of this machine, as a base.
#[derive(Debug, Clone)]
pub struct HostBase {
    /// What identifies it; another set of packages is another base.
    pub digest: String,
    /// A directory with what it has besides programs. It stays as long as this lives.
    pub snapshot: PathBuf,
    _lock: Arc<File>,
}

/// Identifies this machine's userland and has its snapshot ready, which `make` writes to an empty directory if there is none of its present state.
///
/// `sources` are the files and directories that a snapshot is made of, besides the package database: one of them that looks different makes another
/// snapshot, though not another base.
///
/// # Errors
///
/// The package database cannot be read, or `directory`, in which snapshots are kept, cannot be written.
pub fn host_base(
    directory: &Path,
    sources: &[PathBuf],
    make: impl Fn(&Path) -> io::Result<()>,
) -> Result<HostBase, StoreError> {
    make_private(directory)?;
    let root = Path::new("/");
    let digest = database_digest(root, &directory.join("host.json"))
        .and_then(|digest| digest.ok_or_else(|| io::ErrorKind::NotFound.into()))
        .map_err(io_error("identify the packages of", root))?;
    let snapshot = directory.join(state(&digest, sources));
    Ok(HostBase {
        digest: format!("host:{digest}"),
        _lock: Arc::new(hold(&snapshot, make)?),
        snapshot,
    })
}

/// What identifies a directory that holds a root file system: where it is, and what its package database says is installed.
///
/// # Errors
///
/// The database cannot be read, or `memory`, a directory, cannot be written.
pub fn directory_digest(root: &Path, memory: &Path) -> Result<String, StoreError> {
    make_private(memory)?;
    let place = sha256::of(root.as_os_str().as_encoded_bytes());
    let contents = database_digest(root, &memory.join(format!("{place}.json")))
        .map_err(io_error("identify the packages of", root))?
        .unwrap_or_default();
    Ok(format!("dir:{place}:{contents}"))
}

/// The digest of a root's package database; `None` if it has none.
fn database_digest(root: &Path, memory: &Path) -> io::Result<Option<String>> {
    for path in PACKAGE_DATABASES {
        // A link in it leads to a place in it, and never to this machine's own.
        let Some(file) = rooted::open(root, path)? else {
            continue;
        };
        if file.metadata()?.len() <= IDENTIFYING_DATABASE_BYTES {
            return remembered(file, &root.join(path), memory).map(Some);
        }
    }
    Ok(None)
}

/// What stands for the contents of a snapshot, without reading them: `packages`, and how everything looks that it is made of.
fn state(packages: &str, sources: &[PathBuf]) -> String {
    let mut seen = packages.as_bytes().to_vec();
    let mut waiting = sources.to_vec();
    while let Some(path) = waiting.pop() {
        let Ok(metadata) = fs::symlink_metadata(&path) else {
            continue;
        };
        note(&mut seen, &path, &metadata);
        if metadata.is_dir() {
            let entries = fs::read_dir(&path).into_iter().flatten().flatten();
            let mut below: Vec<_> = entries.map(|entry| entry.path()).collect();
            below.sort_unstable();
            waiting.extend(below);
        } else if metadata.is_symlink()
            && let Ok(metadata) = fs::metadata(&path)
        {
            note(&mut seen, &path, &metadata);
        }
    }
    sha256::of(&seen)
}

fn note(seen: &mut Vec<u8>, path: &Path, metadata: &Metadata) {
    let path = path.as_os_str().as_encoded_bytes();
    seen.extend((path.len() as u64).to_be_bytes());
    seen.extend(path);
    seen.extend(metadata.mode().to_be_bytes());
    seen.extend(metadata.size().to_be_bytes());
    // When anything of it changed (inode(7), ctime), be it its owner.
    seen.extend(metadata.ctime().to_be_bytes());
    seen.extend(metadata.ctime_nsec().to_be_bytes());
}

/// The lock of a snapshot that is there, shared.
fn hold(snapshot: &Path, make: impl Fn(&Path) -> io::Result<()>) -> Result<File, StoreError> {
    let path = snapshot.with_extension(LOCK);
    let begun = Instant::now();
    loop {
        if let Some(lock) = lock::take(&path, Kind::Shared)?
            && snapshot.is_dir()
        {
            lock::touch(&lock, &path)?;
            return Ok(lock);
        }
        match lock::take(&path, Kind::Exclusive)? {
            // Another process may have made it in between.
            Some(_lock) if snapshot.is_dir() => {}
            // A clean-up may remove it before it is held: then once more.
            Some(_lock) => make_snapshot(snapshot, &make)?,
            None if begun.elapsed() > SNAPSHOT_LOCK_WAIT => {
                let error = io::Error::from(io::ErrorKind::WouldBlock);
                return Err(io_error("lock", &path)(error));
            }
            None => std::thread::sleep(PAUSE),
        }
    }
}

/// The caller has its lock exclusively: what there is of it is of somebody who died.
fn make_snapshot(
    snapshot: &Path,
    make: impl Fn(&Path) -> io::Result<()>,
) -> Result<(), StoreError> {
    let draft = snapshot.with_extension(NEW);
    remove_tree(&draft).map_err(io_error("remove", &draft))?;
    make_private(&draft)?;
    make(&draft).map_err(io_error("make", &draft))?;
    fs::rename(&draft, snapshot).map_err(io_error("make", snapshot))
}

/// Removes snapshots that nobody used since `oldest`, and what dead processes left; both times are in seconds since 1970. What cannot be removed is in
/// `failed`.
pub(crate) fn sweep(
    store: &Store,
    oldest: i64,
    now: i64,
    failed: &mut Vec<StoreError>,
) -> Result<(), StoreError> {
    let directory = store.bases_directory();
    if !directory.is_dir() {
        return Ok(());
    }
    let before = oldest.min(now.saturating_sub_unsigned(STATE_REMAINS.as_secs()));
    let mut snapshots = BTreeSet::new();
    for (name, path) in entries(&directory)? {
        let (stem, kind) = name.split_once('.').unwrap_or((&name, ""));
        let is_digits = stem.len() == 64 && stem.bytes().all(|b| b.is_ascii_hexdigit());
        if is_digits && matches!(kind, "" | LOCK | NEW) {
            snapshots.insert(directory.join(stem));
        } else if kind.parse::<u32>().is_ok() {
            failed.extend(sweep_remains(&path, before).err());
        }
    }
    for snapshot in snapshots {
        failed.extend(sweep_snapshot(&snapshot, oldest).err());
    }
    Ok(())
}

fn sweep_snapshot(snapshot: &Path, oldest: i64) -> Result<(), StoreError> {
    let path = snapshot.with_extension(LOCK);
    if changed(&path)?.is_some_and(|changed| changed > oldest) {
        return Ok(());
    }
    let Some(_lock) = lock::take(&path, Kind::Exclusive)? else {
        return Ok(());
    };
    for directory in [snapshot.to_owned(), snapshot.with_extension(NEW)] {
        remove_tree(&directory).map_err(io_error("remove", &directory))?;
    }
    unlink(&path)
}

fn sweep_remains(path: &Path, before: i64) -> Result<(), StoreError> {
    if changed(path)?.is_some_and(|changed| changed <= before) {
        remove_tree(path).map_err(io_error("remove", path))?;
    }
    Ok(())
}

fn changed(path: &Path) -> Result<Option<i64>, StoreError> {
    let stat = absent_is_none(rustix::fs::lstat(path)).map_err(io_error("read", path))?;
    Ok(stat.map(|stat| stat.st_mtime))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn make(into: &Path) -> io::Result<()> {
        fs::write(into.join("etc"), "x")
    }

    /// The clock of files has ticked since what was written before.
    fn tick() {
        std::thread::sleep(Duration::from_millis(50));
    }

    #[test]
    fn a_snapshot_is_made_once_and_a_failed_one_is_not_used() {
        let directory = tempfile::tempdir().unwrap();
        let failed = host_base(directory.path(), &[], |into| {
            fs::write(into.join("half"), "")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert!(failed.is_err());
        let first = host_base(directory.path(), &[], make).unwrap();
        let second = host_base(directory.path(), &[], |_| panic!("made twice")).unwrap();
        assert_eq!(first.snapshot, second.snapshot);
        assert!(first.snapshot.join("etc").exists());
        assert!(!first.snapshot.join("half").exists());
    }

    #[test]
    fn of_all_that_race_for_a_snapshot_one_makes_it_and_all_have_it_whole() {
        let directory = tempfile::tempdir().unwrap();
        let made = std::sync::atomic::AtomicU32::new(0);
        let slowly = |into: &Path| {
            made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            tick();
            make(into)
        };
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let base = host_base(directory.path(), &[], slowly).unwrap();
                    assert!(base.snapshot.join("etc").exists());
                });
            }
        });
        assert_eq!(made.into_inner(), 1);
    }

    #[test]
    fn a_setting_that_changed_is_in_another_snapshot_of_the_same_base() {
        let directory = tempfile::tempdir().unwrap();
        let etc = tempfile::tempdir().unwrap();
        let at = |path: &str| etc.path().join(path);
        fs::create_dir(at("ssl")).unwrap();
        fs::write(at("ssl/ca.crt"), "one").unwrap();
        symlink("Berlin", at("localtime")).unwrap();
        let sources = [at("ssl"), at("localtime"), at("none")];
        let take = || host_base(directory.path(), &sources, make).unwrap();
        let mut seen = vec![take()];
        assert_eq!(take().snapshot, seen[0].snapshot);
        tick();
        fs::write(at("ssl/ca.crt"), "two").unwrap();
        seen.push(take());
        fs::write(at("ssl/added.crt"), "").unwrap();
        seen.push(take());
        fs::remove_file(at("localtime")).unwrap();
        symlink("Madrid", at("localtime")).unwrap();
        seen.push(take());
        fs::write(at("none"), "").unwrap();
        seen.push(take());
        let snapshots: BTreeSet<_> = seen.iter().map(|base| &base.snapshot).collect();
        assert_eq!(snapshots.len(), seen.len());
        assert!(seen.iter().all(|base| base.digest == seen[0].digest));
    }

    #[test]
    fn a_snapshot_goes_when_nobody_used_it_for_long_and_stays_while_somebody_does() {
        let place = tempfile::tempdir().unwrap();
        let store = Store::open(place.path().join("images")).unwrap();
        let clean = |oldest, now| {
            let mut failed = Vec::new();
            sweep(&store, oldest, now, &mut failed).unwrap();
            assert!(failed.is_empty(), "{failed:?}");
        };
        clean(i64::MAX, i64::MAX);
        let directory = store.bases_directory();
        let base = host_base(&directory, &[], make).unwrap();
        let also = base.clone();
        drop(base);
        let draft = also.snapshot.with_extension(NEW);
        fs::create_dir(&draft).unwrap();
        let dead = ["host.4194305", &format!("name-{}.17", "0".repeat(64))].map(|name| {
            fs::write(directory.join(name), "").unwrap();
            directory.join(name)
        });
        clean(0, i64::MAX);
        assert!(dead.iter().all(|path| path.exists()), "written just now");
        clean(i64::MAX, i64::MAX);
        assert!(also.snapshot.join("etc").exists(), "in use");
        assert!(!dead.iter().any(|path| path.exists()));
        let snapshot = also.snapshot.clone();
        drop(also);
        clean(0, i64::MAX);
        assert!(snapshot.exists(), "used just now");
        clean(i64::MAX, i64::MAX);
        assert!(!snapshot.exists() && !draft.exists());
        assert!(directory.join("host.json").exists());
    }

    #[test]
    fn no_link_of_a_directory_leads_to_this_machines_own_package_database() {
        let memory = tempfile::tempdir().unwrap();
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        let digest = || directory_digest(root.path(), memory.path()).unwrap();
        let none = digest();
        assert!(none.ends_with(':'), "{none}");
        fs::create_dir_all(at("var/lib/dpkg")).unwrap();
        let outside = memory.path().join("status");
        fs::write(&outside, "Package: secret\n").unwrap();
        let up =
            Path::new("../../../../../../../../../..").join(outside.strip_prefix("/").unwrap());
        for target in [outside.as_path(), &up] {
            symlink(target, at("var/lib/dpkg/status")).unwrap();
            assert!(at("var/lib/dpkg/status").is_file(), "whoever follows it");
            assert_eq!(digest(), none, "{target:?}");
            fs::remove_file(at("var/lib/dpkg/status")).unwrap();
        }
        // The control: a link within.
        fs::write(at("real"), "Package: own\n").unwrap();
        symlink("/real", at("var/lib/dpkg/status")).unwrap();
        assert!(digest().ends_with(&sha256::of(b"Package: own\n")));
    }
}
