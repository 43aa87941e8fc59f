//! Roots that are there anyway: this machine's own, and directories.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::digest::{of_bytes, remembered};
use crate::store::remove_tree;

/// Where distributions say what is installed: Debian, Alpine, Fedora, SUSE. The first that is there identifies the host's userland.
const PACKAGE_DATABASES: &[&str] = &[
    "/var/lib/dpkg/status",
    "/lib/apk/db/installed",
    "/usr/lib/sysimage/rpm/rpmdb.sqlite",
    "/var/lib/rpm/rpmdb.sqlite",
    "/etc/os-release",
];

/// The most bytes of a package database that identifies a directory; one that is larger is none.
const PACKAGE_DATABASE_BYTES: u64 = 1 << 30;

/// The userland of this machine, as a base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostBase {
    /// What identifies it; another set of packages is another base.
    pub digest: String,
    /// A directory with what it has besides programs.
    pub snapshot: PathBuf,
}

/// Identifies this machine's userland and has its snapshot ready, which `make` writes to an empty directory if there is none yet.
///
/// # Errors
///
/// The package database cannot be read, or `directory`, in which snapshots are kept, cannot be written.
pub fn host_base(
    directory: &Path,
    make: impl FnOnce(&Path) -> io::Result<()>,
) -> io::Result<HostBase> {
    private_directory(directory)?;
    let digest = host_digest(&directory.join("host.json"))?;
    let snapshot = directory.join(&digest);
    if !snapshot.is_dir() {
        let draft = directory.join(format!("{digest}.{}", std::process::id()));
        remove_tree(&draft)?;
        private_directory(&draft)?;
        make(&draft)?;
        match fs::rename(&draft, &snapshot) {
            // Another process was faster.
            Err(_) if snapshot.is_dir() => remove_tree(&draft)?,
            other => other?,
        }
    }
    Ok(HostBase {
        digest: format!("host:{digest}"),
        snapshot,
    })
}

/// What identifies a directory that holds a root file system: where it is, and what its package database says is installed.
///
/// # Errors
///
/// The database cannot be read, or `memory`, a directory, cannot be written.
pub fn directory_digest(root: &Path, memory: &Path) -> io::Result<String> {
    private_directory(memory)?;
    let place = of_bytes(root.as_os_str().as_encoded_bytes());
    let contents = match database(root) {
        Some(database) => remembered(&database, &memory.join(format!("{place}.json")))?,
        None => String::new(),
    };
    Ok(format!("dir:{place}:{contents}"))
}

fn host_digest(memory: &Path) -> io::Result<String> {
    let database = database(Path::new("/")).ok_or(io::ErrorKind::NotFound)?;
    remembered(&database, memory)
}

fn database(root: &Path) -> Option<PathBuf> {
    PACKAGE_DATABASES
        .iter()
        .map(|path| root.join(path.trim_start_matches('/')))
        .find(|path| {
            fs::metadata(path).is_ok_and(|m| m.is_file() && m.len() <= PACKAGE_DATABASE_BYTES)
        })
}

fn private_directory(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_made_once_and_a_failed_one_is_not_used() {
        let directory = tempfile::tempdir().unwrap();
        let failed = host_base(directory.path(), |_| Err(io::ErrorKind::StorageFull.into()));
        assert!(failed.is_err());
        let make = |into: &Path| fs::write(into.join("etc"), "x");
        let first = host_base(directory.path(), make).unwrap();
        let second = host_base(directory.path(), |_| panic!("made twice")).unwrap();
        assert_eq!(first, second);
        assert!(first.snapshot.join("etc").exists());
    }
}
