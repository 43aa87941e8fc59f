//! Who uses a database of SQLite: one server, or whoever puts another one in its place.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// Held while the database is in use; the kernel gives it back when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct DatabaseLock {
    _file: File,
}

/// Why there is no lock.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoDatabaseLock {
    /// Somebody has it.
    #[error("{} is in use by a running server", .0.display())]
    InUse(PathBuf),
    /// Its file cannot be made.
    #[error("cannot lock {}", .path.display())]
    File { path: PathBuf, source: io::Error },
}

impl DatabaseLock {
    /// Takes the lock of the database at `path`, or fails at once. Its file stays: removing it would let two have it.
    pub(crate) fn take(path: &Path) -> Result<Self, NoDatabaseLock> {
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let failed = |source| NoDatabaseLock::File {
            path: path.to_owned(),
            source,
        };
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(name)
            .map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _file: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(NoDatabaseLock::InUse(path.to_owned())),
            Err(error) => Err(failed(error.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_has_a_database() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bailiwick.db");
        let held = DatabaseLock::take(&path).unwrap();
        assert!(matches!(
            DatabaseLock::take(&path),
            Err(NoDatabaseLock::InUse(_))
        ));
        drop(held);
        DatabaseLock::take(&path).unwrap();
    }
}
