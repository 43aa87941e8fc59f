//! Bases: what layers lie on, and what identifies it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

use crate::store::remove_tree;

/// Where distributions say what is installed: Debian, Alpine, Fedora, SUSE. The first that is there identifies the host's userland.
const PACKAGE_DATABASES: &[&str] = &[
    "/var/lib/dpkg/status",
    "/lib/apk/db/installed",
    "/usr/lib/sysimage/rpm/rpmdb.sqlite",
    "/var/lib/rpm/rpmdb.sqlite",
    "/etc/os-release",
];

/// The userland of this machine, as a base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostBase {
    /// What identifies it; another set of packages is another base.
    pub digest: String,
    /// A directory with what it has besides programs.
    pub snapshot: PathBuf,
}

/// What was hashed, to know without hashing that it is the same: the ten thousand lines of a package database take longer than a launch.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    database: PathBuf,
    inode: (u64, u64),
    size: u64,
    changed: (i64, i64),
    digest: String,
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

fn host_digest(memory: &Path) -> io::Result<String> {
    let database = PACKAGE_DATABASES
        .iter()
        .map(Path::new)
        .find(|path| path.exists())
        .ok_or(io::ErrorKind::NotFound)?;
    let mut file = File::open(database)?;
    let metadata = file.metadata()?;
    let mut now = Seen {
        database: database.to_owned(),
        inode: (metadata.dev(), metadata.ino()),
        size: metadata.size(),
        changed: (metadata.mtime(), metadata.mtime_nsec()),
        digest: String::new(),
    };
    let seen: Option<Seen> = fs::read(memory)
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok());
    if let Some(seen) = seen {
        now.digest.clone_from(&seen.digest);
        if seen == now {
            return Ok(seen.digest);
        }
    }
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            length => context.update(&buffer[..length]),
        }
    }
    now.digest = context
        .finish()
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let draft = memory.with_extension(format!("{}", std::process::id()));
    fs::write(&draft, serde_json::to_vec(&now)?)?;
    fs::rename(&draft, memory)?;
    Ok(now.digest)
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
